"""Reads windows and asks about them, a pass of the model at a time. Single-threaded.

A pass is shared: it takes questions of all jobs that are ready for one, and only when there are
none the next stretch of what is unread, so that a warm question waits for one pass at the most.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakSet

from torch import Tensor

from retriever.errors import TooLarge
from retriever.reading.cache import WindowCache, chained, in_common
from retriever.reading.decoder import Decoder
from retriever.reading.jobs import Job, Part
from retriever.reading.likeness import Embedder, Likeness, counted
from retriever.reading.prompt import Prompt
from retriever.reading.runs import Question, Reading
from retriever.reading.scoring import best_of_each, piece_scores
from retriever.reading.window import Baseline, Window
from retriever_contract.wire import Chunk

logger = logging.getLogger(__name__)


class PassFailed(Exception):
    """The model failed at these windows, which the cache has dropped; `__cause__` says why."""

    def __init__(self, windows: Sequence[Window]) -> None:
        super().__init__(f"a pass over {len(windows)} windows failed")
        self.windows = windows


@dataclass(slots=True, eq=False)
class _Draft:
    """What a part will be, before anything is changed: the first `same` chunks of `window`, and
    `added` behind them, each with its digest and pieces."""

    window: Window
    same: int
    places: list[int]
    added: list[tuple[bytes, list[list[int]]]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        added = sum(len(piece) for _, pieces in self.added for piece in pieces)
        return self.window.ends_after(self.same)[-1] + added


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
        self._window_tokens = window_tokens
        self._pass_rows = pass_rows
        self._length_power = length_power
        self._identity = identity
        self._embedder = embedder
        self._asked_share = asked_share
        self.cache = cache
        self._held: WeakSet[Part] = WeakSet()  # those that somebody may still read or ask

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
        drafts = self._drafts(owner, epoch, windows)
        if max_bytes is not None and self._bytes_of_drafts(drafts, tails) > max_bytes:
            raise TooLarge("The memory is larger than the cache.")
        users = Counter(draft.window for draft in drafts)
        parts = [self._part(owner, epoch, draft, users[draft.window] == 1) for draft in drafts]
        cached = sum(part.tokens - part.tokens_to_read for part in parts)
        self.cache.counts.tokens_cached += cached
        likeness = self._likeness(owner, epoch, (*windows, *beyond), queries)
        return Job(owner, parts, tails, cached, likeness, self._asked_share)

    def bytes_of(self, *jobs: Job) -> int:
        """What their windows take when all are done; one that they share is taken once."""
        taken: dict[int, int] = {}
        for job in jobs:
            rows = self._rows(job.tails)
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
        if asked := self._questions(jobs):
            with self._pass_over([part.window for _, part, _ in asked]):
                self._make_room_for_rows([question for _, _, question in asked], in_use)
                self._ask(asked)
        elif likeness := self._unknown(jobs):
            self._embed(likeness)
        elif readings := self._readings(jobs, in_use):
            with self._pass_over([one.window for one in readings]):
                self._read(readings)
        self._evict(in_use)

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

    def _likeness(
        self,
        owner: str,
        epoch: int,
        windows: Sequence[Sequence[Chunk]],
        queries: Sequence[str],
    ) -> Likeness | None:
        if self._embedder is None:
            return None
        texts = [chunk.text for chunks in windows for chunk in chunks]
        return Likeness(owner, epoch, texts, queries, self.cache.vectors)

    def _unknown(self, jobs: Sequence[Job]) -> Likeness | None:
        """The first job's that is not known yet; one that needs its queries alone goes before."""
        unknown = [job.likeness for job in jobs if job.likeness and not job.is_embedded]
        quick = (one for one in unknown if one.waits_for_queries_alone)
        return next(quick, unknown[0] if unknown else None)

    def _embed(self, likeness: Likeness) -> None:
        """What fails is left out: the heads answer without it."""
        if self._embedder is None:  # and so there is no likeness
            return
        try:
            texts = likeness.step(self._embedder)
        except Exception as error:
            likeness.fail()
            logger.error("the embedding failed: %s", type(error).__name__)
        else:
            self.cache.counts.texts_embedded += len(texts)
            self.cache.counts.characters_embedded += counted(texts)

    def _read(self, readings: Sequence[Reading]) -> None:
        self._decoder.run(readings)
        self.cache.counts.tokens_read += sum(len(one.ids) for one in readings)

    def _drafts(self, owner: str, epoch: int, windows: Sequence[Sequence[Chunk]]) -> list[_Draft]:
        """The request's windows, cut where they outgrow the model's."""
        drafts: list[_Draft] = []
        first = 0
        for chunks in windows:
            left = [(place, chunk.text) for place, chunk in enumerate(chunks, first)]
            first += len(chunks)
            while left:
                draft = self._draft(owner, epoch, left)
                if draft is None:
                    place, text = left[0]
                    middle = len(text) // 2
                    left[:1] = [(place, text[:middle]), (place, text[middle:])]
                else:
                    drafts.append(draft)
                    del left[: len(draft.places)]
        return drafts

    def _draft(self, owner: str, epoch: int, texts: Sequence[tuple[int, str]]) -> _Draft | None:
        """As many texts as one window takes; None: the first alone is longer."""
        chain = chained(f"{self._identity} {owner}", [text for _, text in texts])
        window, same = self.cache.find(owner, epoch, chain)
        window = window or self._decoder.window(self._prompt.opening)
        draft = _Draft(window, same, [place for place, _ in texts[:same]])
        room = self._window_tokens - draft.tokens
        for digest, (place, text) in zip(chain[same:], texts[same:], strict=True):
            pieces = self._prompt.chunk(len(draft.places) + 1, text)
            room -= sum(map(len, pieces))
            if room < 0 and draft.places:
                break
            if room < 0 and len(text) > 1:
                return None
            draft.places.append(place)
            draft.added.append((digest, pieces))
        return draft

    def _part(self, owner: str, epoch: int, draft: _Draft, alone: bool) -> Part:
        """A window that has gone on differently is left as it is; one that is shorter now is cut,
        so that what was deleted goes, unless others have a use for all of it."""
        window, counts = draft.window, self.cache.counts
        counts.hits += draft.same > 0
        counts.misses += draft.same == 0
        if draft.same < len(window.chain):
            self.cache.use(window)
            if draft.added:
                window = window.branch(draft.same)
            elif alone and window.is_mostly(draft.same) and not self._is_held(window):
                window.cut(draft.same)
        for digest, pieces in draft.added:
            window.lay_out(digest, pieces)
        self.cache.keep(owner, epoch, window)
        part = Part(window, draft.places)
        self._held.add(part)
        return part

    def _is_held(self, window: Window) -> bool:
        return any(part.window is window for part in self._held)

    def _bytes_of_drafts(self, drafts: Sequence[_Draft], tails: Sequence[Sequence[int]]) -> int:
        rows = self._rows(tails)
        return sum(
            self._decoder.shape.bytes_of(draft.tokens + rows)
            if draft.added
            else draft.window.bytes_with(rows)
            for draft in drafts
        )

    def _rows(self, tails: Sequence[Sequence[int]]) -> int:
        return len(self._prompt.stem) + len(self._prompt.null_tail) + sum(map(len, tails))

    def _readings(self, jobs: Sequence[Job], in_use: Collection[Window]) -> list[Reading]:
        """Stretches of unread windows, one of each, the first jobs' first."""
        rows = self._pass_rows
        windows = {id(part.window): part.window for job in jobs for part in job.unread}
        readings: list[Reading] = []
        for window in windows.values():
            if rows <= 0:
                break
            with self._pass_over([window]):
                self._make_room(window, in_use)
            if window.length < window.tokens:
                readings.append(Reading(window, rows))
                rows -= len(readings[-1].ids)
        return readings

    def _make_room(self, window: Window, in_use: Collection[Window]) -> None:
        """For all of it, and take over what its origin has; one that it is mostly made of is what
        it was before and goes."""
        origin = window.origin
        needed = [window, *in_use] if origin is None else [window, origin, *in_use]
        self._evict(needed, window.bytes_with(0) - window.bytes_taken)
        window.take_over()
        window.reserve(window.tokens)
        if origin is None or self._is_held(origin):
            return
        if origin.is_mostly(in_common(origin.chain, window.chain)):
            self.cache.drop(origin)

    def _make_room_for_rows(
        self, questions: Sequence[Question], in_use: Collection[Window]
    ) -> None:
        sizes = [(one.window, self._decoder.shape.bytes_of(one.room)) for one in questions]
        self._evict(in_use, sum(max(0, size - one.bytes_taken) for one, size in sizes))

    def _evict(self, in_use: Collection[Window], coming: int = 0) -> None:
        self.cache.evict(set(in_use), coming, {part.window for part in self._held})

    def _questions(self, jobs: Sequence[Job]) -> list[tuple[Job, Part, Question]]:
        """Questions about windows that have been read, one about each."""
        rows = self._pass_rows
        asked: dict[int, tuple[Job, Part, Question]] = {}
        for job in jobs:
            for part in job.unasked:
                if id(part.window) in asked or rows <= 0:
                    continue
                question = self._question(job, part)
                asked[id(part.window)] = job, part, question
                rows -= len(question.ids)
        return list(asked.values())

    def _question(self, job: Job, part: Part) -> Question:
        """About the window's beginning where it has grown: nothing of that is kept."""
        kept = part.is_whole and part.window.baseline is not None
        tails = list(job.tails) if kept else [self._prompt.null_tail, *job.tails]
        return Question(part.window, self._prompt.stem, tails, kept, part.tokens)

    def _ask(self, asked: Sequence[tuple[Job, Part, Question]]) -> None:
        self._decoder.run([question for _, _, question in asked])
        for job, part, question in asked:
            paid = list(_finite(question.paid).double().cpu())
            kept = part.window.baseline if part.is_whole else None
            baseline = kept or Baseline(paid.pop(0), paid.pop(0))
            if part.is_whole:
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
        pieces = piece_scores(of_query - of_null, part.ends) * self._scale(part)
        return best_of_each(pieces, part.window.pieces[: part.chunks])

    def _scale(self, part: Part) -> float:
        """Attention is shared among what is there: the less there is, the more each gets."""
        full = self._window_tokens - len(self._prompt.opening)
        share = (part.ends[-1] - part.ends[0]) / max(1, full)
        return float(min(1.0, share) ** self._length_power)


def _finite(paid: Tensor) -> Tensor:
    """Raises ArithmeticError: a type too narrow for this model overflowed somewhere."""
    if not bool(paid.isfinite().all()):
        raise ArithmeticError("attention is not finite")
    return paid
