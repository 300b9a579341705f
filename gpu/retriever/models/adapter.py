"""A LoRA adapter, merged into the decoder once, so that scoring costs what it cost without.

Strict where peft warns: an adapter that does not fit the decoder whole is refused. What it holds
for layers that are not loaded changes no score and is left out, counted.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from retriever.errors import Unusable
from retriever.models.repository import Repository, open_repository
from retriever.models.weights import some

SHIPPED = Path(__file__).parents[2] / "adapters"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # of every key that peft saves
_NAME = "merged"
# what decides which numbers are added where
_UNDERSTOOD = (
    *("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
)
# what was of use in training only, or says where the adapter comes from
_WITHOUT_EFFECT = {
    *("peft_type", "task_type", "base_model_name_or_path", "revision", "peft_version"),
    *("inference_mode", "auto_mapping", "lora_dropout", "runtime_config", "ensure_weight_tying"),
}
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")  # others change the base's weights
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_HEAD = re.compile(r"(?:^|\.)lm_head\.")


@dataclass(frozen=True)
class Adapter:
    """What was merged, for the record."""

    name: str
    revision: str | None
    licence: str
    base: str | None  # the model that it says it was trained on
    file: Path
    merged: int  # tensors
    left_out: int  # of layers above the deepest one


def open_adapter(lora_id: str, revision: str | None, shipped: Path = SHIPPED) -> Repository:
    """One that ships by its name, a folder here, or a hub's id.

    Raises Unusable: none of these, or its files are missing.
    """
    name = str(shipped / lora_id) if _is_shipped(lora_id, shipped) else lora_id
    repository = open_repository(name, revision, "LORA_REVISION")
    repository.fetch([WEIGHTS])
    return dataclasses.replace(repository, name=lora_id)


def merge_adapter(
    model: PreTrainedModel, source: Repository, deepest_layer: int
) -> tuple[PreTrainedModel, Adapter]:
    """In fp32: a bf16 sum would round most of an adapter away. Use the model that comes back.

    Raises Unusable: no LoRA, one of a kind that is not understood, or one that does not fit.
    """
    written = _config(source)
    stored = _weights(source)
    kept = {key: value for key, value in stored.items() if _layer(key) <= deepest_layer}
    return _merged(model, written, kept, source.name), Adapter(
        name=source.name,
        revision=source.revision,
        licence=source.licence,
        base=written.get("base_model_name_or_path"),
        file=source.folder / WEIGHTS,
        merged=len(kept),
        left_out=len(stored) - len(kept),
    )


def _is_shipped(lora_id: str, shipped: Path) -> bool:
    return re.fullmatch(r"[\w][\w.-]*", lora_id) is not None and (shipped / lora_id).is_dir()


def _config(source: Repository) -> dict[str, Any]:
    try:
        written = json.loads(source.path(CONFIG).read_bytes())
    except ValueError as exc:
        raise Unusable(f"{source.name}: {CONFIG} is no JSON") from exc
    if not isinstance(written, dict) or written.get("peft_type") != "LORA":
        raise Unusable(f"{source.name} is no LoRA")
    if not written.get("target_modules"):
        raise Unusable(f"{source.name}: {CONFIG} names no target_modules")
    if beyond := _beyond(written):
        raise Unusable(f"{source.name} uses what is not supported: {some(beyond)}")
    return written


def _beyond(written: Mapping[str, Any]) -> set[str]:
    """Settings that could change what the adapter computes: DoRA, biases, saved modules, ..."""
    defaults = {field.name: field.default for field in dataclasses.fields(LoraConfig)}
    beyond = {
        name
        for name, value in written.items()
        if name not in _WITHOUT_EFFECT and name not in _UNDERSTOOD and name != "init_lora_weights"
        if value and value != defaults.get(name)
    }
    if written.get("init_lora_weights", True) not in _PLAIN_STARTS:
        beyond.add(f"init_lora_weights={written['init_lora_weights']}")
    return beyond


def _weights(source: Repository) -> dict[str, Tensor]:
    if not (source.folder / WEIGHTS).is_file():
        raise Unusable(f"{source.name} has no {WEIGHTS}: only safetensors are loaded")
    try:
        with safe_open(source.folder / WEIGHTS, framework="pt", device="cpu") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except SafetensorError as exc:
        raise Unusable(f"{source.name}: {WEIGHTS} is damaged: {exc}") from exc
    if not stored:
        raise Unusable(f"{source.name}: {WEIGHTS} holds nothing")
    return stored


def _layer(key: str) -> float:
    """The vocabulary's head stands above all layers; what is of no layer, below."""
    if _HEAD.search(key):
        return float("inf")
    found = _LAYER.search(key)
    return int(found[1]) if found else -1


class _Causal(nn.Module):
    """Where a causal model has its decoder: adapters name modules, and match them, from there."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        super().__init__()
        self.model = decoder


def _merged(
    model: PreTrainedModel, written: Mapping[str, Any], kept: Mapping[str, Tensor], name: str
) -> PreTrainedModel:
    dtype = model.dtype
    causal = any(key.startswith(f"{PREFIX}model.") for key in kept)
    try:
        tuner = _tuner(_Causal(model) if causal else model, written, name)
    except Unusable:
        if kept:
            raise
        return model  # it is for layers above, all of it
    adapted = [module for module in tuner.modules() if isinstance(module, LoraLayer)]
    for module in adapted:
        module.float()
    _fill(tuner, kept, name)
    bases: list[nn.Module] = [module.get_base_layer() for module in adapted]
    whole = _whole(tuner, name)
    for base in bases:  # and nothing else: a rotary embedding's buffers are fp32 in any model
        base.to(dtype)
    decoder: PreTrainedModel = whole.model if causal else whole
    return decoder


def _tuner(host: nn.Module, written: Mapping[str, Any], name: str) -> LoraModel:
    """The adapter's own numbers are still to come."""
    understood = {key: written[key] for key in _UNDERSTOOD if written.get(key) is not None}
    try:
        config = LoraConfig(**understood, inference_mode=True)
        return LoraModel(host, config, _NAME)
    except (ValueError, TypeError) as exc:
        raise Unusable(f"{name} does not fit the model: {exc}") from exc


def _fill(tuner: LoraModel, kept: Mapping[str, Tensor], name: str) -> None:
    """Raises Unusable: a tensor is missing, unknown or of another shape."""
    places = {
        f"base_model.{key}".replace(f".{_NAME}", ""): parameter
        for key, parameter in tuner.named_parameters()
        if ".lora_" in key
    }
    if missing := places.keys() - kept.keys():
        raise Unusable(f"{name} lacks {some(missing)}")
    if unknown := kept.keys() - places.keys():
        raise Unusable(f"{name}: nothing in the model takes {some(unknown)}")
    if odd := {key for key, value in kept.items() if value.shape != places[key].shape}:
        raise Unusable(f"{name} was made for a model of another shape: {some(odd)}")
    for key, value in kept.items():
        places[key].data.copy_(value)


def _whole(tuner: LoraModel, name: str) -> Any:
    try:
        return tuner.merge_and_unload(safe_merge=True)
    except ValueError as exc:
        raise Unusable(f"{name} cannot be merged: it holds numbers that are not finite") from exc
