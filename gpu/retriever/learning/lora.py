"""A LoRA in a base decoder, to be trained, and as the files that `adapter.py` merges again.

https://arxiv.org/abs/2106.09685; its second factor starts at zero, so it starts as no change.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor, nn

from retriever.models.adapter import CONFIG, PREFIX, WEIGHTS

_NAME = "default"  # peft's
_DECODER = f"{PREFIX}model."  # where a causal model has its decoder: adapters are named from there


def add_lora(
    model: Any, rank: int, alpha: int, dropout: float, targets: Sequence[str], seed: int
) -> dict[str, nn.Parameter]:
    """The parameters to train, in 32 bits, by the names they are saved under. All others rest.

    Raises ValueError: the model has no such modules.
    """
    model.requires_grad_(False)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)
    found = {
        _DECODER + name.replace(f".{_NAME}.", "."): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    for parameter in found.values():
        parameter.data = parameter.data.float()
    return found


def save_adapter(
    folder: Path,
    parameters: Mapping[str, Tensor],
    *,
    base: str,
    rank: int,
    alpha: int,
    targets: Sequence[str],
    layers: int,
) -> None:
    """Each file is written beside and renamed. The configuration names the layers, so that the
    adapter goes on the whole model too."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(targets),
        "layers_to_transform": list(range(layers)),
        "bias": "none",
        "inference_mode": True,
    }
    plain = {name: one.detach().cpu().contiguous() for name, one in parameters.items()}
    draft = folder / f".{WEIGHTS}.part"
    save_file(plain, draft, metadata={"format": "pt"})
    draft.replace(folder / WEIGHTS)
    draft = folder / f".{CONFIG}.part"
    draft.write_text(json.dumps(config, indent=2) + "\n")
    draft.replace(folder / CONFIG)
