"""What somebody wants read or ranked: windows of one owner, and what is known of each so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from retriever.window import Window


@dataclass(slots=True)
class Part:
    """One window of a job. The window may have grown since for another job; `chunks` of it count.

    `scores` are its chunks', for each query in turn, once they are known.
    """

    window: Window
    chunks: int
    scores: list[list[float]] | None = None

    @property
    def is_read(self) -> bool:
        return self.window.length >= self.window.ends_after(self.chunks)[-1]

    def detach(self) -> None:
        """Go on with a window of this part's chunks alone."""
        if len(self.window.chain) > self.chunks:
            self.window = self.window.branch(self.chunks)


@dataclass(slots=True)
class Job:
    """Without tails nothing is scored: the windows are made ready for the next question."""

    owner: str
    parts: list[Part]
    tails: Sequence[Sequence[int]]
    tokens_cached: int = 0
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = sum(part.window.ends_after(part.chunks)[-1] for part in self.parts)

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
        """Of all chunks in the order of the request, for each query; the job is done."""
        found: list[list[float]] = [[] for _ in self.tails]
        for part in self.parts:
            for query, scores in zip(found, part.scores or [], strict=True):
                query.extend(scores)
        return found

    def needs(self, windows: Sequence[Window]) -> bool:
        return any(part.window is window for part in self.parts for window in windows)

    def abandon(self) -> None:
        """Nobody waits for scores any more; the windows are still made ready."""
        self.tails = ()
        for part in self.parts:
            part.scores = None

    def _has_been_asked(self, part: Part) -> bool:
        if self.tails:
            return part.scores is not None
        return part.window.baseline is not None or len(part.window.chain) > part.chunks
