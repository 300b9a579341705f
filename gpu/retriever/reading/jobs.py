"""What somebody wants read or ranked: windows of one owner, and what is known of each so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retriever.reading.window import Window


@dataclass(slots=True, eq=False, weakref_slot=True)
class Part:
    """The first `chunks` of a window, which may have more for another job.

    `places` are those of the request's chunks that they are, in ascending order: one that is too
    long for a window is in several. `scores` are theirs, for each query in turn, once known.
    """

    window: Window
    places: Sequence[int]
    scores: list[list[float]] | None = None

    @property
    def chunks(self) -> int:
        return len(self.places)

    @property
    def ends(self) -> list[int]:
        """Where the chunks' pieces end, from the opening's end on."""
        return self.window.ends_after(self.chunks)

    @property
    def tokens(self) -> int:
        return self.ends[-1]

    @property
    def is_whole(self) -> bool:
        """Whether the window has nothing else."""
        return len(self.window.chain) == self.chunks

    @property
    def is_read(self) -> bool:
        return self.window.length >= self.tokens

    @property
    def tokens_to_read(self) -> int:
        return max(0, self.tokens - self.window.found)


@dataclass(slots=True, eq=False)
class Job:
    """Without tails nothing is scored: the windows are made ready for the next question."""

    owner: str
    parts: list[Part]
    tails: Sequence[Sequence[int]]
    tokens_cached: int = 0
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = sum(part.tokens for part in self.parts)

    @property
    def unread(self) -> list[Part]:
        return [part for part in self.parts if not part.is_read]

    @property
    def unasked(self) -> list[Part]:
        """Parts that have been read and wait for their question."""
        return [part for part in self.parts if part.is_read and not self._has_been_asked(part)]

    @property
    def is_done(self) -> bool:
        return all(part.is_read and self._has_been_asked(part) for part in self.parts)

    def scores(self) -> list[list[float]]:
        """Of all chunks in the order of the request, for each query; the job is done. One that is
        in several windows scores as its best part."""
        return [self._of_query(number) for number in range(len(self.tails))]

    def needs(self, windows: Sequence[Window]) -> bool:
        return any(part.window is window for part in self.parts for window in windows)

    def covers(self, other: "Job") -> bool:
        """Whether all that `other` reads is read by this one."""
        own = {id(part.window): part.chunks for part in self.parts}
        return all(part.chunks <= own.get(id(part.window), 0) for part in other.parts)

    def abandon(self) -> None:
        """Nobody waits for scores any more; the windows are still made ready."""
        self.tails = ()
        for part in self.parts:
            part.scores = None

    def _of_query(self, number: int) -> list[float]:
        best: dict[int, float] = {}
        for part in self.parts:
            scores = part.scores[number] if part.scores is not None else ()
            for place, score in zip(part.places, scores, strict=True):
                best[place] = max(score, best.get(place, score))
        return list(best.values())

    def _has_been_asked(self, part: Part) -> bool:
        if self.tails:
            return part.scores is not None
        return part.window.baseline is not None or not part.is_whole


def tokens_to_read(jobs: Iterable[Job]) -> int:
    """Of all jobs together: what they share is read once."""
    longest: dict[int, int] = {}
    for part in (part for job in jobs for part in job.parts):
        own = id(part.window)
        longest[own] = max(longest.get(own, 0), part.tokens_to_read)
    return sum(longest.values())
