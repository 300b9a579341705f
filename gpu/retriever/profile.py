"""A model's profile: which heads score, in which prompt, and how its scores are used.

Data beside the code, one JSON file a model, written by `python -m retriever detect`. A LoRA moves
heads: the profile of a base model says nothing about that base with an adapter.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from retriever.errors import Unusable

SHIPPED = Path(__file__).parent / "profiles"
LENGTH_POWER = 0.7  # ARCHITECTURE.md has the measurement
FRAME_TOKENS = 256  # at most, of a prompt's openers and its instruction
_NO_SCORE_DEPENDS_ON = {"name", "also", "floor", "fusion_weight", "embedding", "note"}


class Head(NamedTuple):
    """A query head, counted from 0 as in the papers: layer 15, head 21 is written 15-21."""

    layer: int
    head: int


def read_head(text: str) -> Head:
    """Raises ValueError: it is not written as one."""
    layer, dash, head = text.partition("-")
    if not (dash and _is_number(layer) and _is_number(head)):
        raise ValueError(f"a head is written LAYER-HEAD, as 15-21, not {text!r}")
    return Head(int(layer), int(head))


def _read_head(value: object) -> object:
    return read_head(value) if isinstance(value, str) else value


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _written_head(head: Head) -> str:
    return f"{head.layer}-{head.head}"


WrittenHead = Annotated[Head, BeforeValidator(_read_head), PlainSerializer(_written_head)]


class Embedding(BaseModel):
    """A light one beside the heads: its cosines are a summand of their own, and choose the
    `asked_share` of a request's windows that the heads are asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    weight: float = Field(gt=0, allow_inf_nan=False)
    floor: float = Field(allow_inf_nan=False)
    asked_share: float = Field(1.0, gt=0, le=1)


class Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    also: tuple[str, ...] = ()  # other ids of the same weights
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    adapter: str | None = None
    heads: tuple[WrittenHead, ...] = Field(min_length=1)
    window_tokens: PositiveInt
    chunk_tokens: PositiveInt = 300  # a longer chunk is scored in pieces of this many
    query_tokens: PositiveInt = 256
    # Attention is shared among a window's chunks: fewer of them get more each. Scores are scaled
    # by (the window's tokens / window_tokens) to this power, so that those of all windows compare.
    length_power: float = Field(LENGTH_POWER, ge=0, le=1)
    floor: float = Field(allow_inf_nan=False)
    fusion_weight: float | None = Field(None, gt=0, allow_inf_nan=False)  # None: ranks alone
    embedding: Embedding | None = None
    user_opener: str  # openers are parsed with special tokens
    assistant_opener: str
    bos: bool  # whether the tokenizer's BOS comes before the opener
    note: str = ""

    @field_validator("adapter")
    @classmethod
    def _empty_is_none(cls, adapter: str | None) -> str | None:
        return adapter or None

    @field_validator("heads")
    @classmethod
    def _heads_once(cls, heads: tuple[Head, ...]) -> tuple[Head, ...]:
        if len(set(heads)) < len(heads):
            raise ValueError("a head occurs twice")
        if any(head.layer < 0 or head.head < 0 for head in heads):
            raise ValueError("layers and heads count from 0")
        return heads

    @model_validator(mode="after")
    def _chunks_fit(self) -> Self:
        if self.chunk_tokens > self.window_tokens:
            raise ValueError("chunk_tokens is more than window_tokens")
        return self

    @property
    def deepest_layer(self) -> int:
        return max(head.layer for head in self.heads)

    @property
    def needed_tokens(self) -> int:
        """Positions that the model must have: a full window, its frame and a query."""
        return self.window_tokens + self.query_tokens + FRAME_TOKENS

    @property
    def digest(self) -> str:
        """16 hex digits of what scores depend on; the order of heads is not of it."""
        content = self.model_dump(mode="json", exclude=_NO_SCORE_DEPENDS_ON)
        content["heads"] = [_written_head(head) for head in sorted(self.heads)]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def belongs_to(self, model_name: str, lora_id: str | None) -> bool:
        return model_name in (self.model, *self.also) and self.adapter == (lora_id or None)


def find_profile(model_name: str, lora_id: str | None, folders: Sequence[Path]) -> Profile:
    """The first folder that has one decides.

    Raises Unusable: none has, a folder has two, or a file is no profile.
    """
    for folder in folders:
        found = [
            (path, profile)
            for path, profile in _profiles(folder)
            if profile.belongs_to(model_name, lora_id)
        ]
        if len(found) > 1:
            names = ", ".join(str(path) for path, _ in found)
            raise Unusable(f"{_pair(model_name, lora_id)} has more than one profile: {names}")
        if found:
            return found[0][1]
    raise Unusable(
        f"{_pair(model_name, lora_id)} has no profile; "
        f"make one with: {detect_command(model_name, lora_id)}"
    )


def profile_folders(profile_dir: Path | None) -> tuple[Path, ...]:
    """Raises Unusable: PROFILE_DIR is no folder."""
    if profile_dir is None:
        return (SHIPPED,)
    if not profile_dir.is_dir():
        raise Unusable(f"PROFILE_DIR is no folder: {profile_dir}")
    return (profile_dir, SHIPPED)


def detect_command(model_name: str, lora_id: str | None) -> str:
    adapter = f" --adapter {lora_id}" if lora_id else ""
    return f"python -m retriever detect --model {model_name}{adapter}"


def _profiles(folder: Path) -> Iterable[tuple[Path, Profile]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, Profile.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as exc:
            raise Unusable(f"{path} is no profile: {_first_problem(exc)}") from exc


def _first_problem(exc: ValidationError | OSError) -> str:
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    first = exc.errors(include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _pair(model_name: str, lora_id: str | None) -> str:
    return f"{model_name} with the adapter {lora_id}" if lora_id else model_name
