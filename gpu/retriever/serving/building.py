"""From a loaded model to an engine that answers: what `gateway.wiring` is to the gateway."""

import time

import torch

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint
from retriever.models.loading import cache_bytes, load
from retriever.profile import Profile
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.engine import Engine
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever.settings import Settings
from retriever_contract.wire import DeviceFigures, Facts

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
    reader = Reader(
        decoder,
        prompt_of(checkpoint, profile),
        WindowCache(cache_bytes(settings, device), settings.retriever_idle_seconds, time.monotonic),
        window_tokens=profile.window_tokens,
        pass_rows=PASS_ROWS.get(device.type, PASS_ROWS_OF_A_GPU),
        length_power=profile.length_power,
        identity=f"{checkpoint.name}@{checkpoint.revision} {checkpoint.adapter} {profile.digest}",
    )
    return Engine(
        reader,
        facts_of(checkpoint, profile),
        lambda: device_figures(device),
        time.monotonic,
        settings.retriever_queue,
    )


def prompt_of(checkpoint: Checkpoint, profile: Profile) -> Prompt:
    bos = checkpoint.tokenizer.bos_token_id if profile.bos else None
    return Prompt(checkpoint.tokenizer, profile, bos)


def facts_of(checkpoint: Checkpoint, profile: Profile) -> Facts:
    return Facts(
        model=checkpoint.name,
        adapter=checkpoint.adapter.name if checkpoint.adapter else None,
        profile=profile.digest,
        window_tokens=profile.window_tokens,
        floor=profile.floor,
        fusion_weight=profile.fusion_weight,
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
