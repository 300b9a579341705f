"""What somebody wants read or ranked: windows of one owner, and what is known of each so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retriever.reading.likeness import Likeness, promising
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
    """Without tails nothing is scored: the windows are made ready for the next question. Without
    an embedding there is no `likeness`; with one it is of the windows' chunks and those beyond.

    With a `share` below 1 the heads are asked about that share of the windows, those with the most
    alike chunks; what the others hold is given 0, which is what attention to nothing comes to."""

    owner: str
    parts: list[Part]
    tails: Sequence[Sequence[int]]
    tokens_cached: int = 0
    likeness: Likeness | None = None
    share: float = 1.0
    tokens: int = field(init=False)
    has_chosen: bool = field(init=False)

    def __post_init__(self) -> None:
        self.has_chosen = self.share >= 1 or self.likeness is None or not self.tails
        self.tokens = sum(part.tokens for part in self.parts)

    @property
    def unread(self) -> list[Part]:
        return [part for part in self.parts if not part.is_read]

    @property
    def unasked(self) -> list[Part]:
        """Parts that have been read and wait for their question; none before it is known which
        are worth one."""
        if not self.has_chosen:
            return []
        return [part for part in self.parts if part.is_read and not self._has_been_asked(part)]

    @property
    def is_done(self) -> bool:
        return self.is_scored and self.is_embedded

    @property
    def is_scored(self) -> bool:
        return all(part.is_read and self._has_been_asked(part) for part in self.parts)

    @property
    def is_embedded(self) -> bool:
        return self.likeness is None or self.likeness.is_known

    def scores(self) -> list[list[float]]:
        """Of the chunks at `places`, for each query. One that is in several windows scores as its
        best part."""
        return [self._of_query(number) for number in range(len(self.tails))]

    def places(self) -> list[int]:
        """Of the chunks that are scored, in the order of the request: all, once it is done."""
        scored = (part for part in self.parts if part.scores is not None)
        return list(dict.fromkeys(place for part in scored for place in part.places))

    def choose(self) -> None:
        """Which windows are asked about, once likeness is known; all where it never will be."""
        if self.has_chosen or self.likeness is None or not self.is_embedded:
            return
        self.has_chosen = True
        if alike := self.likeness.scores():
            best = [max(of_chunk) for of_chunk in zip(*alike, strict=True)]
            windows = [[best[place] for place in part.places] for part in self.parts]
            asked = promising(windows, self.share)
            for number, part in enumerate(self.parts):
                if number not in asked:
                    part.scores = [[0.0] * part.chunks for _ in self.tails]

    def ask_all(self) -> None:
        """Whatever likeness will say."""
        self.has_chosen = True

    def needs(self, windows: Sequence[Window]) -> bool:
        return any(part.window is window for part in self.parts for window in windows)

    def covers(self, other: "Job") -> bool:
        """Whether all that `other` reads is read by this one."""
        own = {id(part.window): part.chunks for part in self.parts}
        return all(part.chunks <= own.get(id(part.window), 0) for part in other.parts)

    def abandon(self) -> None:
        """Nobody waits for scores any more; the windows are still made ready."""
        self.tails = ()
        self.has_chosen = True
        if self.likeness is not None:
            self.likeness.abandon()
        for part in self.parts:
            part.scores = None

    def _of_query(self, number: int) -> list[float]:
        best: dict[int, float] = {}
        scored = ((part, part.scores) for part in self.parts if part.scores is not None)
        for part, scores in scored:
            for place, score in zip(part.places, scores[number], strict=True):
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
