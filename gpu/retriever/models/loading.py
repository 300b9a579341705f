"""From settings to a model that is ready to score: its profile first, which is cheap to refuse."""

from collections.abc import Mapping

import torch

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.profile import Profile, find_profile, profile_folders
from retriever.settings import Settings

CPU_CACHE_BYTES = 2 << 30
GPU_CACHE_SHARE = 0.6  # of the memory that is free once the model is loaded

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(settings: Settings) -> tuple[Checkpoint, Profile]:
    """Raises Unusable, and says what to do: no profile, no such device, a model that misfits."""
    lora_id = settings.lora_id or None
    folders = profile_folders(settings.profile_dir)
    profile = find_profile(settings.model_name, lora_id, folders)
    device = chosen_device(settings)
    checkpoint = load_checkpoint(
        settings.model_name,
        lora_id=lora_id,
        revision=settings.model_revision or profile.revision,
        lora_revision=settings.lora_revision or None,
        device=device,
        dtype=chosen_dtype(settings, device),
        deepest_layer=profile.deepest_layer,
        needed_tokens=profile.needed_tokens,
        cache=settings.retriever_cache,
    )
    refuse_what_does_not_fit(profile, checkpoint)
    return checkpoint, profile


def chosen_device(settings: Settings) -> torch.device:
    """Raises Unusable: a GPU is asked for and there is none."""
    if settings.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if settings.device == "cuda":
        raise Unusable("DEVICE=cuda and there is no GPU that torch can use: set DEVICE=cpu")
    return torch.device("cpu")


def chosen_dtype(settings: Settings, device: torch.device) -> torch.dtype:
    """16 bits wherever the hardware multiplies them: twice as fast, and the order hardly moves."""
    if settings.dtype != "auto":
        return _DTYPES[settings.dtype]
    if device.type == "cpu" and not multiplies_bf16(torch.cpu.get_capabilities()):
        return torch.float32
    return torch.bfloat16


def multiplies_bf16(capabilities: Mapping[str, object]) -> bool:
    """A CPU without the instructions emulates them, slowly."""
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def cache_bytes(settings: Settings, device: torch.device) -> int:
    """Of keys and values that may be kept; on a GPU ask once the model is loaded."""
    if settings.retriever_cache_bytes:
        return settings.retriever_cache_bytes
    if device.type == "cpu":
        return CPU_CACHE_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * GPU_CACHE_SHARE)


def refuse_what_does_not_fit(profile: Profile, checkpoint: Checkpoint) -> None:
    """Raises Unusable: a head that the model has not, or a BOS that its tokenizer has not."""
    heads = checkpoint.model.config.num_attention_heads
    beyond = [f"{layer}-{head}" for layer, head in profile.heads if head >= heads]
    if beyond:
        raise Unusable(f"profile {profile.name}: {checkpoint.name} has no head {beyond[0]}")
    if profile.bos and checkpoint.tokenizer.bos_token_id is None:
        raise Unusable(f"profile {profile.name}: the tokenizer of {checkpoint.name} has no BOS")
