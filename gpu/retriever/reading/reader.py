"""Reads windows and asks about them, a pass of the model at a time. Single-threaded.

A pass is shared: it takes questions of all jobs that are ready for one, and only when there are
none the next texts to embed, and then the next stretch of what is unread, so that a warm question
waits for one pass at the most.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.embedding import Embedding
from retriever.reading.jobs import Job
from retriever.reading.layout import Layout
from retriever.reading.likeness import Embedder
from retriever.reading.prompt import Prompt
from retriever.reading.questioner import Asked, Questioner
from retriever.reading.room import Room
from retriever.reading.runs import Reading
from retriever.reading.window import Window
from retriever_contract.wire import Chunk


class PassFailed(Exception):
    """The model failed at these windows, which the cache has dropped; `__cause__` says why."""

    def __init__(self, windows: Sequence[Window]) -> None:
        super().__init__(f"a pass over {len(windows)} windows failed")
        self.windows = windows


class Reader:
    """`window_tokens` bound a window, opening included; `pass_rows` the rows of one pass. What is
    read is found again under `identity` alone: model, adapter and profile. Scores of a window that
    is not full are scaled by its length's share to the `length_power`; 0 leaves them as published.
    With an `embedder` the heads are asked about an `asked_share` of each request's windows.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        cache: WindowCache,
        *,
        window_tokens: int,
        pass_rows: int,
        length_power: float = 0.0,
        identity: str = "",
        embedder: Embedder | None = None,
        asked_share: float = 1.0,
    ) -> None:
        self._decoder = decoder
        self._prompt = prompt
        self._pass_rows = pass_rows
        self.cache = cache
        self._room = Room(cache, decoder.shape)
        self._layout = Layout(
            decoder, prompt, cache, self._room, window_tokens=window_tokens, identity=identity
        )
        self._questioner = Questioner(
            decoder,
            prompt,
            window_tokens=window_tokens,
            pass_rows=pass_rows,
            length_power=length_power,
        )
        self._embedding = Embedding(embedder, cache, asked_share) if embedder else None

    @property
    def bytes_per_token(self) -> int:
        return self._decoder.shape.bytes_per_token

    def begin(
        self,
        owner: str,
        epoch: int,
        windows: Sequence[Sequence[Chunk]],
        queries: Sequence[str],
        max_bytes: int | None = None,
        beyond: Sequence[Sequence[Chunk]] = (),
    ) -> Job:
        """Lay chunks out in windows, those found in the cache among them. Reads nothing yet, and
        takes no room on the device. What is `beyond` is embedded alone, where there is an embedder.

        Raises TooLarge: all windows together would take more than `max_bytes`. Nothing has changed
        then.
        """
        tails = [self._prompt.tail(query) for query in queries]
        rows = self._questioner.rows(tails)
        parts = self._layout.parts(owner, epoch, windows, rows, max_bytes)
        cached = sum(part.tokens - part.tokens_to_read for part in parts)
        self.cache.counts.tokens_cached += cached
        if self._embedding is None:
            return Job(owner, parts, tails, cached)
        likeness = self._embedding.likeness(owner, epoch, (*windows, *beyond), queries)
        return Job(owner, parts, tails, cached, likeness, self._embedding.asked_share)

    def bytes_of(self, *jobs: Job) -> int:
        """What their windows take when all are done; one that they share is taken once."""
        taken: dict[int, int] = {}
        for job in jobs:
            rows = self._questioner.rows(job.tails)
            for part in job.parts:
                again = 0 if part.is_whole else len(self._prompt.stem)  # beside the one that stands
                size = part.window.bytes_with(rows + again)
                taken[id(part.window)] = max(size, taken.get(id(part.window), 0))
        return sum(taken.values())

    def discard(self, job: Job) -> None:
        """Nobody finds its windows again."""
        for part in job.parts:
            self.cache.drop(part.window)

    def step(self, jobs: Sequence[Job]) -> None:
        """One pass for these jobs; nothing when all are done. Raises PassFailed."""
        in_use = {part.window for job in jobs for part in job.parts}
        for job in jobs:
            job.choose()
        if asked := self._questioner.ready(jobs):
            self._ask(asked, in_use)
        elif self._embedding is None or not self._embedding.step(jobs):
            self._read(jobs, in_use)
        self._room.evict(in_use)

    def _ask(self, asked: Sequence[Asked], in_use: Collection[Window]) -> None:
        with self._pass_over([one.part.window for one in asked]):
            self._room.make_for_rows([one.question for one in asked], in_use)
            self._questioner.ask(asked)

    def _read(self, jobs: Sequence[Job], in_use: Collection[Window]) -> None:
        readings = self._readings(jobs, in_use)
        if not readings:
            return
        with self._pass_over([one.window for one in readings]):
            self._decoder.run(readings)
            self.cache.counts.tokens_read += sum(len(one.ids) for one in readings)

    def _readings(self, jobs: Sequence[Job], in_use: Collection[Window]) -> list[Reading]:
        """Stretches of unread windows, one of each, the first jobs' first."""
        rows = self._pass_rows
        windows = {id(part.window): part.window for job in jobs for part in job.unread}
        readings: list[Reading] = []
        for window in windows.values():
            if rows <= 0:
                break
            with self._pass_over([window]):
                self._room.make_for(window, in_use)
            if window.length < window.tokens:
                readings.append(Reading(window, rows))
                rows -= len(readings[-1].ids)
        return readings

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
