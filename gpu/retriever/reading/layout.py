"""Lays a request's chunks out in windows, those that the cache has among them. Reads nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from retriever.errors import TooLarge
from retriever.reading.cache import WindowCache, chained
from retriever.reading.decoder import Decoder
from retriever.reading.jobs import Part
from retriever.reading.prompt import Prompt
from retriever.reading.room import Room
from retriever.reading.window import Window
from retriever_contract.wire import Chunk


@dataclass(slots=True, eq=False)
class Draft:
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


class Layout:
    """`window_tokens` bound a window, opening included. What is laid out is found again under
    `identity` alone."""

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        cache: WindowCache,
        room: Room,
        *,
        window_tokens: int,
        identity: str,
    ) -> None:
        self._decoder = decoder
        self._prompt = prompt
        self._cache = cache
        self._room = room
        self._window_tokens = window_tokens
        self._identity = identity

    def parts(
        self,
        owner: str,
        epoch: int,
        windows: Sequence[Sequence[Chunk]],
        rows: int,
        max_bytes: int | None,
    ) -> list[Part]:
        """Raises TooLarge: all windows, with `rows` of a question behind each, would take more than
        `max_bytes`. Nothing has changed then."""
        drafts = self._drafts(owner, epoch, windows)
        if max_bytes is not None and self._bytes_of(drafts, rows) > max_bytes:
            raise TooLarge("The memory is larger than the cache.")
        users = Counter(draft.window for draft in drafts)
        return [self._part(owner, epoch, one, users[one.window] == 1) for one in drafts]

    def _bytes_of(self, drafts: Sequence[Draft], rows: int) -> int:
        return sum(
            self._decoder.shape.bytes_of(draft.tokens + rows)
            if draft.added
            else draft.window.bytes_with(rows)
            for draft in drafts
        )

    def _drafts(self, owner: str, epoch: int, windows: Sequence[Sequence[Chunk]]) -> list[Draft]:
        """The request's windows, cut where they outgrow the model's."""
        drafts: list[Draft] = []
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

    def _draft(self, owner: str, epoch: int, texts: Sequence[tuple[int, str]]) -> Draft | None:
        """As many texts as one window takes; None: the first alone is longer."""
        chain = chained(f"{self._identity} {owner}", [text for _, text in texts])
        window, same = self._cache.find(owner, epoch, chain)
        window = window or self._decoder.window(self._prompt.opening)
        draft = Draft(window, same, [place for place, _ in texts[:same]])
        left = self._window_tokens - draft.tokens
        for digest, (place, text) in zip(chain[same:], texts[same:], strict=True):
            pieces = self._prompt.chunk(len(draft.places) + 1, text)
            left -= sum(map(len, pieces))
            if left < 0 and draft.places:
                break
            if left < 0 and len(text) > 1:
                return None
            draft.places.append(place)
            draft.added.append((digest, pieces))
        return draft

    def _part(self, owner: str, epoch: int, draft: Draft, alone: bool) -> Part:
        window = self._window_of(draft, alone)
        for digest, pieces in draft.added:
            window.lay_out(digest, pieces)
        self._cache.keep(owner, epoch, window)
        part = Part(window, draft.places)
        self._room.hold(part)
        return part

    def _window_of(self, draft: Draft, alone: bool) -> Window:
        """One that has gone on differently is left as it is; one that is shorter now is cut, so
        that what was deleted goes, unless others have a use for all of it."""
        window, same, counts = draft.window, draft.same, self._cache.counts
        counts.hits += same > 0
        counts.misses += same == 0
        if same == len(window.chain):
            return window
        self._cache.use(window)
        if draft.added:
            return window.branch(same)
        if alone and window.is_mostly(same) and not self._room.is_held(window):
            window.cut(same)
        return window
