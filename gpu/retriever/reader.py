"""Reads windows and asks about them, a pass of the model at a time. Single-threaded.

A pass is shared: it takes questions of all jobs that are ready for one, and only when there are
none the next stretch of what is unread, so that a warm question waits for one pass at the most.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from retriever.cache import WindowCache, chained
from retriever.decoder import Decoder
from retriever.jobs import Job, Part
from retriever.prompt import Prompt
from retriever.runs import Question, Reading
from retriever.scoring import best_of_each, piece_scores
from retriever.window import Baseline, Window
from retriever_contract.wire import Chunk


class PassFailed(Exception):
    """The model failed at these windows, which the cache has dropped; `__cause__` says why."""

    def __init__(self, windows: Sequence[Window]) -> None:
        super().__init__(f"a pass over {len(windows)} windows failed")
        self.windows = windows


class Reader:
    """`window_tokens` bound a window, opening included; `pass_rows` the rows of one pass. What is
    read is found again under `identity` alone: model, adapter and profile."""

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        cache: WindowCache,
        *,
        window_tokens: int,
        pass_rows: int,
        identity: str = "",
    ) -> None:
        self._decoder = decoder
        self._prompt = prompt
        self._window_tokens = window_tokens
        self._pass_rows = pass_rows
        self._identity = identity
        self.cache = cache

    @property
    def bytes_per_token(self) -> int:
        return self._decoder.shape.bytes_per_token

    def begin(
        self, owner: str, epoch: int, windows: Sequence[Sequence[Chunk]], queries: Sequence[str]
    ) -> Job:
        """Lay chunks out in windows, those found in the cache among them. Reads nothing yet."""
        parts: list[Part] = []
        cached = 0
        for chunks in windows:
            for part, found in self._parts(owner, epoch, chunks):
                parts.append(part)
                cached += found
        self.cache.counts.tokens_cached += cached
        return Job(owner, parts, [self._prompt.tail(query) for query in queries], cached)

    def bytes_of(self, job: Job) -> int:
        """What its windows take when it is done."""
        rows = len(self._prompt.stem) + len(self._prompt.null_tail) + sum(map(len, job.tails))
        return sum(part.window.bytes_with(rows) for part in job.parts)

    def discard(self, job: Job) -> None:
        """Nobody finds its windows again."""
        for part in job.parts:
            self.cache.drop(part.window)

    def step(self, jobs: Sequence[Job]) -> None:
        """One pass for these jobs; nothing when all are done. Raises PassFailed."""
        if asked := self._questions(jobs):
            with self._pass_over([part.window for _, part, _ in asked]):
                self._ask(asked)
        elif readings := self._readings(jobs):
            with self._pass_over([one.window for one in readings]):
                self._read(readings)
        self.cache.evict({part.window for job in jobs for part in job.parts})

    @contextmanager
    def _pass_over(self, windows: Sequence[Window]) -> Iterator[None]:
        """Windows of a pass that fails are not found again; of one that does not, they are used."""
        try:
            yield
        except Exception as error:
            for window in windows:
                self.cache.drop(window)
            raise PassFailed(windows) from error
        for window in windows:
            self.cache.use(window)

    def _read(self, readings: Sequence[Reading]) -> None:
        self._decoder.run(readings)
        self.cache.counts.tokens_read += sum(len(one.ids) for one in readings)

    def _parts(self, owner: str, epoch: int, chunks: Sequence[Chunk]) -> Iterator[tuple[Part, int]]:
        """A window's chunks, cut where they outgrow the model's window, each with the tokens
        found read."""
        while chunks:
            chain = chained(f"{self._identity} {owner}", chunks)
            window, same = self.cache.find(owner, epoch, chain)
            self.cache.counts.hits += window is not None
            self.cache.counts.misses += window is None
            if window is None:
                window = self._decoder.window(self._prompt.opening)
            elif same < len(window.chain):
                window = window.branch(same)
            found = window.length
            self._lay_out(window, chain[same:], chunks[same:])
            self.cache.keep(owner, epoch, window)
            taken = len(window.chain)
            yield Part(window, taken), found
            chunks = chunks[taken:]

    def _lay_out(self, window: Window, chain: Sequence[bytes], chunks: Sequence[Chunk]) -> None:
        """Chunks behind the others as long as they fit; of a first that does not, what fits."""
        for digest, chunk in zip(chain, chunks, strict=True):
            pieces = self._prompt.chunk(len(window.chain) + 1, chunk.text)
            room = self._window_tokens - window.tokens
            if sum(map(len, pieces)) > room:
                if window.chain:
                    return
                pieces = _first(pieces, room)
            window.lay_out(digest, pieces)

    def _readings(self, jobs: Sequence[Job]) -> list[Reading]:
        """Stretches of unread windows, one of each, the first jobs' first."""
        rows = self._pass_rows
        windows = {id(part.window): part.window for job in jobs for part in job.unread}
        readings: list[Reading] = []
        for window in windows.values():
            if rows <= 0:
                break
            readings.append(Reading(window, rows))
            rows -= len(readings[-1].ids)
        return readings

    def _questions(self, jobs: Sequence[Job]) -> list[tuple[Job, Part, Question]]:
        """Questions about windows that have been read, one about each."""
        rows = self._pass_rows
        asked: dict[int, tuple[Job, Part, Question]] = {}
        for job in jobs:
            for part in job.unasked:
                part.detach()
                if id(part.window) in asked or rows <= 0:
                    continue
                question = self._question(job, part.window)
                asked[id(part.window)] = job, part, question
                rows -= len(question.ids)
        return list(asked.values())

    def _question(self, job: Job, window: Window) -> Question:
        kept = window.baseline is not None
        tails = list(job.tails) if kept else [self._prompt.null_tail, *job.tails]
        return Question(window, self._prompt.stem, tails, kept)

    def _ask(self, asked: Sequence[tuple[Job, Part, Question]]) -> None:
        self._decoder.run([question for _, _, question in asked])
        for job, part, question in asked:
            paid = list(_finite(question.paid).double().cpu())
            baseline = part.window.baseline or Baseline(paid.pop(0), paid.pop(0))
            part.window.baseline = baseline
            if job.tails:
                part.scores = [
                    self._scores(part, baseline, row, tail)
                    for row, tail in zip(paid, map(len, job.tails), strict=True)
                ]

    def _scores(self, part: Part, baseline: Baseline, paid: Tensor, rows: int) -> list[float]:
        """Of the part's chunks, from what the query's tail of `rows` rows paid: means over all
        scored rows, the stem's among them, less the same of the null query."""
        stem, null = len(self._prompt.stem), len(self._prompt.null_tail)
        of_query = (baseline.stem + paid) / (stem + rows)
        of_null = (baseline.stem + baseline.null) / (stem + null)
        pieces = piece_scores(of_query - of_null, part.window.ends)
        return best_of_each(pieces, part.window.pieces)


def _finite(paid: Tensor) -> Tensor:
    """Raises ArithmeticError: a type too narrow for this model overflowed somewhere."""
    if not bool(paid.isfinite().all()):
        raise ArithmeticError("attention is not finite")
    return paid


def _first(pieces: Sequence[list[int]], room: int) -> list[list[int]]:
    """The first `room` tokens; at least one."""
    kept: list[list[int]] = []
    for piece in pieces:
        if room <= 0 and kept:
            break
        kept.append(piece[: max(1, room)])
        room -= len(kept[-1])
    return kept
