"""Windows: runs of an owner's messages that a model reads together, and how they are worded. Pure.

What the GPU tier keeps of a window is good for as long as its beginning stays the same. So windows
are cut once, from the start of an index on, whatever is asked; a question chooses whole windows;
and their text depends on what is stored alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.retrieval.base import Passage, Scored
from gateway.retrieval.lexical import LexicalIndex
from retriever_contract.wire import MAX_CHUNK_CHARACTERS, MAX_CHUNKS, MAX_TEXT_BYTES
from retriever_contract.wire import Chunk as WireChunk
from retriever_contract.wire import Window as WireWindow

FRAME_TOKENS = 20  # around a message: its label, its date digit by digit, who spoke
PART = "#"  # between a message's id and the number of its part


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive messages of one index. Never empty."""

    passages: tuple[Passage, ...]

    @property
    def tokens(self) -> int:
        """Of what is said in it."""
        return sum(passage.tokens for passage in self.passages)

    @property
    def cost(self) -> int:
        """About its tokens as a model reads it."""
        return sum(map(_cost, self.passages))

    @property
    def newest_at(self) -> float:
        return max(passage.at for passage in self.passages)

    def worded(self) -> WireWindow:
        return WireWindow(chunks=[part for one in self.passages for part in _parts(one)])


def cut(indexes: Iterable[LexicalIndex], window_tokens: int) -> list[Window]:
    """All messages of the indexes, each once: in the first index that has it."""
    seen: set[str] = set()
    windows: list[Window] = []
    for index in indexes:
        passages = [
            passage
            for chunk in index.chunks
            for passage in chunk.passages
            if passage.id not in seen
        ]
        seen.update(passage.id for passage in passages)
        windows += cut_run(passages, window_tokens)
    return windows


def cut_run(passages: Iterable[Passage], window_tokens: int) -> list[Window]:
    """Messages said one after the other, cut from the first on: growth at the end leaves earlier
    cuts where they were. One that is longer than a window has one to itself."""
    runs: list[list[Passage]] = []
    room = 0
    seen: set[str] = set()
    for passage in passages:
        if passage.id in seen:
            continue
        seen.add(passage.id)
        if not runs or _cost(passage) > room:
            runs.append([])
            room = window_tokens
        runs[-1].append(passage)
        room -= _cost(passage)
    return [Window(tuple(run)) for run in runs]


def choose(
    windows: Sequence[Window], lexical: Iterable[Scored], max_tokens: int
) -> list[tuple[Window, WireWindow]]:
    """Windows within `max_tokens` and the wire's limits, in their order, with their wording.

    Where not all fit: the one with the newest message, then those whose messages share most with
    the question, the scores added up since a window is read whole, then the later ones.
    """
    scores = message_scores(lexical)
    wanted = [(sum(scores.get(one.id, 0.0) for one in w.passages), w.newest_at) for w in windows]
    order = sorted(range(len(windows)), key=lambda i: (*wanted[i], i), reverse=True)
    newest = max(order, key=lambda i: (wanted[i][1], i), default=None)
    room = _Room(max_tokens)
    chosen: dict[int, WireWindow] = {}
    for i in dict.fromkeys([*(() if newest is None else (newest,)), *order]):
        if windows[i].cost <= room.tokens and room.take(windows[i], worded := windows[i].worded()):
            chosen[i] = worded
    return [(windows[i], chosen[i]) for i in sorted(chosen)]


def beyond(
    windows: Sequence[Window], chosen: Sequence[tuple[Window, WireWindow]]
) -> list[WireWindow]:
    """Of those that were not chosen the newest that the wire's limits take beside them."""
    room = _Room(sum(one.cost for one in windows))
    for window, worded in chosen:
        room.take(window, worded)
    known = {id(window) for window, _ in chosen}
    taken: dict[int, WireWindow] = {}
    for i in sorted(range(len(windows)), key=lambda i: (windows[i].newest_at, i), reverse=True):
        if id(windows[i]) not in known and room.take(windows[i], worded := windows[i].worded()):
            taken[i] = worded
    return [taken[i] for i in sorted(taken)]


def message_scores(scored: Iterable[Scored]) -> dict[str, float]:
    """Each message's score; of one that two indexes hold the better one."""
    found: dict[str, float] = {}
    for one in scored:
        for passage, score in zip(one.chunk.passages, one.passage_scores, strict=True):
            found[passage.id] = max(score, found.get(passage.id, 0.0))
    return found


def whole(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores of messages out of those of their parts: a message is as good as its best part."""
    found: dict[str, float] = {}
    for id, score in scores.items():
        message = id.partition(PART)[0]
        found[message] = max(score, found.get(message, score))
    return found


def _cost(passage: Passage) -> int:
    return passage.tokens + FRAME_TOKENS


class _Room:
    """What one request may still take."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._chunks = MAX_CHUNKS
        self._bytes = MAX_TEXT_BYTES

    def take(self, window: Window, worded: WireWindow) -> bool:
        size = sum(len(chunk.text.encode()) for chunk in worded.chunks)
        if len(worded.chunks) > self._chunks or size > self._bytes:
            return False
        self.tokens -= window.cost
        self._chunks -= len(worded.chunks)
        self._bytes -= size
        return True


def _parts(passage: Passage) -> list[WireChunk]:
    """A message as the model reads it; a long one in parts, each with the date and who spoke."""
    date = f"[{passage.date}] " if passage.dated else ""
    opening = f"{date}{passage.role}: "
    text, size = readable(passage.text), MAX_CHUNK_CHARACTERS - len(opening)
    if len(text) <= size:
        return [WireChunk(id=passage.id, text=opening + text)]
    starts = range(0, len(text), size)
    return [
        WireChunk(id=f"{passage.id}{PART}{number}", text=opening + text[start : start + size])
        for number, start in enumerate(starts, start=1)
    ]


def readable(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 carries."""
    return text.encode("utf-8", "replace").decode()
