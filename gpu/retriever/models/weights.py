"""Reads a decoder's weights from safetensors: the tensors it has, all of them, and no others.

What belongs to layers above the deepest one is neither read nor, from the hub, fetched.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from retriever.errors import Unusable
from retriever.models.repository import Repository

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_FLOATS = {"F32", "F16", "BF16"}
_LAYER = re.compile(r"layers\.(\d+)\.")
# heads come after the last layer; old checkpoints hold what is computed from their configuration
_NEVER_READ = re.compile(r"lm_head\.|score\.|(?:layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$")

Shape = tuple[int, ...]


def read_weights(
    repository: Repository, shapes: Mapping[str, Shape], device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Tensor], tuple[Path, ...]]:
    """The tensors named in `shapes`, and the files they came from.

    Raises Unusable: a tensor is missing, of another shape, quantised or unknown; no safetensors.
    """
    places = _places(repository)
    layers = 1 + max(_layer(name) for name in shapes)
    used = {name for name in places if not _NEVER_READ.match(name) and _layer(name) < layers}
    _agree(repository.name, wanted=set(shapes), found=used)
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in sorted(shapes):
        by_file[places[name].file].append(name)
    repository.fetch(list(by_file))
    tensors: dict[str, Tensor] = {}
    for file, names in by_file.items():
        path = repository.path(file)
        stored = {name: places[name].stored for name in names}
        tensors |= _read(path, stored, shapes, device, dtype)
    return tensors, tuple(repository.folder / file for file in by_file)


class _Place:
    """Of a tensor: which file, and under which name, prefix and all."""

    def __init__(self, file: str, stored: str) -> None:
        self.file = file
        self.stored = stored


def _places(repository: Repository) -> dict[str, _Place]:
    """By the decoder's own names: a causal model's checkpoint calls it `model.`."""
    return {
        stored.removeprefix("model."): _Place(file, stored)
        for stored, file in _files(repository).items()
    }


def _files(repository: Repository) -> dict[str, str]:
    """Which file holds a tensor. The index alone is read where there is one."""
    if (repository.folder / INDEX).is_file():
        return _indexed(repository)
    repository.fetch([SINGLE])
    if not (repository.folder / SINGLE).is_file():
        raise Unusable(f"{repository.name} has no {SINGLE}: only safetensors are loaded")
    with _opened(repository.folder / SINGLE, torch.device("cpu")) as file:
        return dict.fromkeys(file.keys(), SINGLE)


def _indexed(repository: Repository) -> dict[str, str]:
    try:
        files = json.loads((repository.folder / INDEX).read_bytes())["weight_map"]
        return {str(name): _beside(file) for name, file in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Unusable(f"{repository.name}: {INDEX} is damaged") from exc


def _beside(file: str) -> str:
    """Raises ValueError: a path that leads out of the folder."""
    if Path(file).name != file or not file.endswith(".safetensors"):
        raise ValueError(file)
    return file


def _read(
    path: Path,
    stored: Mapping[str, str],
    shapes: Mapping[str, Shape],
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    tensors = {}
    try:
        with _opened(path, device) as file:
            for name, key in stored.items():
                part = file.get_slice(key)
                if part.get_dtype() not in _FLOATS:
                    raise Unusable(f"{path.name}: {key} is {part.get_dtype()}, quantised")
                if (shape := tuple(part.get_shape())) != shapes[name]:
                    raise Unusable(f"{path.name}: {key} is {shape}, not {shapes[name]}")
                tensors[name] = file.get_tensor(key).to(dtype)
    except SafetensorError as exc:
        raise Unusable(f"{path} is damaged: {exc}") from exc
    return tensors


def _opened(path: Path, device: torch.device) -> safe_open:
    try:
        return safe_open(path, framework="pt", device=str(device))
    except (SafetensorError, OSError) as exc:
        raise Unusable(f"{path} is damaged: {exc}") from exc


def _agree(model: str, wanted: set[str], found: set[str]) -> None:
    if missing := wanted - found:
        raise Unusable(f"{model}: the checkpoint lacks {some(missing)}")
    if unknown := found - wanted:
        raise Unusable(f"{model}: nothing takes the checkpoint's {some(unknown)}")


def _layer(name: str) -> int:
    found = _LAYER.match(name)
    return int(found[1]) if found else -1


def some(names: Iterable[str], most: int = 3) -> str:
    """A few of them, for a message."""
    listed = sorted(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
