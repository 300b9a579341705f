"""The words of ranking: passages, the chunks they form, and their scores."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    id: str
    session: str
    role: str
    text: str
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class Chunk:
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    chunk: Chunk
    score: float
    passage_scores: tuple[float, ...]
