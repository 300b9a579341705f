"""What an upstream's list says of a model beside its name: how much it reads, what it costs. Pure.

OpenAI's list has neither. OpenRouter's has `context_length` and `pricing` in dollars for a token,
as strings (https://openrouter.ai/docs/api-reference/list-available-models); Groq, vLLM and Mistral
call the first `context_window`, `max_model_len` and `max_context_length`. What is no such number is
not believed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LENGTHS = ("context_length", "context_window", "max_model_len", "max_context_length")
TOLD = frozenset({"pricing", *LENGTHS})
MILLION = 1_000_000
LONGEST = 1_000_000_000  # tokens
DEAREST = 1.0  # dollars for a token


@dataclass(frozen=True, slots=True)
class ListPrice:
    """US dollars for a million tokens; `cached_prompt` None: no discount is told."""

    prompt: float
    completion: float
    cached_prompt: float | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """None: not told."""

    context_length: int | None = None
    price: ListPrice | None = None


def facts_of(model: Mapping[str, Any]) -> ModelFacts:
    lengths = (_length(model.get(name)) for name in LENGTHS)
    return ModelFacts(next(filter(None, lengths), None), _price(model.get("pricing")))


def _length(told: Any) -> int | None:
    if isinstance(told, bool) or not isinstance(told, int):
        return None
    return told if 0 < told <= LONGEST else None


def _price(told: Any) -> ListPrice | None:
    """None without both prices. A router over many models says -1: it depends."""
    if not isinstance(told, Mapping):
        return None
    prompt, completion = _dollars(told.get("prompt")), _dollars(told.get("completion"))
    if prompt is None or completion is None:
        return None
    return ListPrice(prompt, completion, _dollars(told.get("input_cache_read")))


def _dollars(told: Any) -> float | None:
    """For a million tokens. Only strings: numbers are by another unit elsewhere."""
    try:
        dollars = float(told) if isinstance(told, str) else math.nan
    except ValueError:
        return None
    return round(dollars * MILLION, 6) if 0 <= dollars <= DEAREST else None
