"""The port of ranking, and what is ranked: remembered messages, the chunks they form, their scores.

Knows no way of ranking; a room that ranks imports this and nothing of another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from array import array

    # The index is made of what stands here.
    from gateway.retrieval.lexical import LexicalIndex

FLOOR = 0.08  # the best chunk's score below which nothing is relevant
RELATIVE = 0.3  # of the best score: what a chunk must reach beside it
COST_POWER = 0.25
LINE_OVERHEAD_TOKENS = 36  # id, date, role and JSON around one quoted text; a test holds it

Shortfall = Literal["degraded", "timeout"]


@dataclass(slots=True)
class Traits:
    """What selection has found out about a message's text, for the next time it is met.

    `shingles` are hashes, good in this process alone; `says` are the marks of its statements, and
    `alone` the first word, the last and their number where it makes one only; `quoted` are the
    tokens of the line that quotes it.
    """

    shingles: "array[int] | None" = None
    says: int | None = None
    alone: tuple[str, str, int] | None = None
    quoted: int | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """One remembered message; `at` is in epoch seconds.

    `dated`: `at` was stored with it. One that is in hand alone goes by the moment it is met, which
    is another each time.
    """

    id: str
    session: str
    role: str
    text: str
    tokens: int
    at: float
    dated: bool = True
    traits: Traits = field(default_factory=Traits, init=False, compare=False, repr=False)

    @property
    def date(self) -> str:
        try:
            return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d")
        except (OverflowError, ValueError, OSError):
            return "unknown"


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


@dataclass(frozen=True, slots=True)
class Scale:
    """How scores of one ranking are to be read.

    Below `floor` the best means nothing; beside it others must reach `relative` of it; a score is
    worth less by its cost in tokens to the power of `cost_power`.
    """

    floor: float = FLOOR
    relative: float = RELATIVE
    cost_power: float = COST_POWER


def nothing(_: Passage) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Question:
    """A query and the memory it is asked of.

    `epoch` counts the owner's erasures. What `in_hand` holds true of stands in the prompt already:
    it may be read with the rest, but proves nothing relevant.
    """

    query: str
    indexes: Sequence["LexicalIndex"]
    owner: str
    epoch: int = 0
    in_hand: Callable[[Passage], bool] = nothing


@dataclass(frozen=True, slots=True)
class Ranking:
    """`retriever` says who ranked, and why, as in `x-memory-retriever`; `shortfall`, that it was
    not who should have. `ranks` are a message's by each method, where there were several.

    `warms`: the next turn's ranking is faster if this session's newest messages are `prefill`ed.
    `seconds` of work that are paid for went into it; None when nobody said how many.
    """

    scored: Sequence[Scored]
    retriever: str
    scale: Scale = Scale()
    shortfall: Shortfall | None = None
    ranks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    warms: bool = False
    seconds: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whether the ranker dropped what it keeps of an owner, and when even without that it will
    have: what it was told last is gone `horizon_seconds` from now."""

    forgotten: bool
    horizon_seconds: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ranker knows of itself without asking anybody.

    `reachable` is None where nobody has asked yet; `heard_at` is the time of day, and
    `answer_seconds` how long the last answer took.
    """

    reachable: bool | None
    detail: str
    heard_at: float | None = None
    answer_seconds: float | None = None


class Ranker(Protocol):
    """Who orders memories by their relevance. None of these fails: what is away is told so."""

    async def rank(self, question: Question) -> Ranking: ...

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        """Read the end of `passages`, one index in its order, so that a later question finds it
        read."""

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        """Drop what was read of the owner, and read nothing more that is of a lower epoch."""
