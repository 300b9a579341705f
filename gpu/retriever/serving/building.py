"""From a loaded model to an engine that answers: what `gateway.wiring` is to the gateway."""

import logging
import time

import torch

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint
from retriever.models.loading import cache_bytes, load
from retriever.models.sentences import Sentences, load_sentences
from retriever.profile import Profile
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.engine import Engine
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever.settings import Settings
from retriever_contract.wire import DeviceFigures, EmbeddingFacts, Facts

logger = logging.getLogger(__name__)

# Rows of one pass. More keep a GPU busy; a CPU is busy with few, and a question waits for one pass.
PASS_ROWS = {"cpu": 512}
PASS_ROWS_OF_A_GPU = 8192


def load_engine(settings: Settings) -> Engine:
    """Raises Unusable, and says what to do."""
    checkpoint, profile = load(settings)
    return build_engine(checkpoint, profile, settings)


def build_engine(checkpoint: Checkpoint, profile: Profile, settings: Settings) -> Engine:
    """The model is on its device by now. Raises Unusable: the decoder cannot run it as it is."""
    try:
        decoder = Decoder(checkpoint.model, profile.heads)
    except ValueError as exc:
        raise Unusable(f"profile {profile.name} and {checkpoint.name}: {exc}") from exc
    device = torch.device(decoder.shape.device)
    sentences = sentences_of(checkpoint, profile)
    reader = Reader(
        decoder,
        prompt_of(checkpoint, profile),
        WindowCache(cache_bytes(settings, device), settings.retriever_idle_seconds, time.monotonic),
        window_tokens=profile.window_tokens,
        pass_rows=PASS_ROWS.get(device.type, PASS_ROWS_OF_A_GPU),
        length_power=profile.length_power,
        identity=f"{checkpoint.name}@{checkpoint.revision} {checkpoint.adapter} {profile.digest}",
        embedder=sentences,
        asked_share=profile.embedding.asked_share if profile.embedding else 1.0,
    )
    return Engine(
        reader,
        facts_of(checkpoint, profile, embeds=sentences is not None),
        lambda: device_figures(device),
        time.monotonic,
        settings.retriever_queue,
    )


def prompt_of(checkpoint: Checkpoint, profile: Profile) -> Prompt:
    bos = checkpoint.tokenizer.bos_token_id if profile.bos else None
    return Prompt(checkpoint.tokenizer, profile, bos)


def sentences_of(checkpoint: Checkpoint, profile: Profile) -> Sentences | None:
    """The profile's embedding, on the model's device and in its numbers. One that is missing is
    said, and done without: heads and words rank as they did before there was one."""
    if profile.embedding is None:
        return None
    try:
        return load_sentences(
            profile.embedding.model, checkpoint.model.device, checkpoint.model.dtype
        )
    except Unusable as unusable:
        logger.warning("profile %s goes without its embedding: %s", profile.name, unusable)
        return None


def facts_of(checkpoint: Checkpoint, profile: Profile, *, embeds: bool = True) -> Facts:
    embedding = profile.embedding if embeds else None
    return Facts(
        model=checkpoint.name,
        adapter=checkpoint.adapter.name if checkpoint.adapter else None,
        profile=profile.digest,
        window_tokens=profile.window_tokens,
        floor=profile.floor,
        fusion_weight=profile.fusion_weight,
        embedding=embedding
        and EmbeddingFacts(model=embedding.model, weight=embedding.weight, floor=embedding.floor),
    )


def device_figures(device: torch.device) -> DeviceFigures:
    """Bytes are of the GPU's memory; a CPU's are its process's, which the system knows."""
    if device.type != "cuda":
        return DeviceFigures(name=f"{device.type}, {torch.get_num_threads()} threads")
    free, total = torch.cuda.mem_get_info(device)
    return DeviceFigures(
        name=torch.cuda.get_device_name(device),
        bytes_used=total - free,
        bytes_peak=torch.cuda.max_memory_allocated(device),
        bytes_total=total,
    )
