"""What is ranked: remembered messages, the chunks they form, and their scores."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """One remembered message; `at` is in epoch seconds."""

    id: str
    session: str
    role: str
    text: str
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A user message with its reply: the unit of ranking. Never empty."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk, its score (0 to 1, that of its best passage) and each passage's, in their order.

    `place` is the chunk's among all that were ranked: it orders what was said at one time.
    """

    chunk: Chunk
    score: float
    passage_scores: tuple[float, ...]
    place: int = 0
