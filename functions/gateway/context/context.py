"""A context for a conversation: what is known and was said, as deep as asked, within a budget.

Keeps and changes nothing, and asks no model.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import inf, nextafter
from typing import Literal, assert_never

from gateway.context import facts
from gateway.context.histories import MOST_ENTITIES, pasts
from gateway.context.packing import Packed, packed
from gateway.context.pieces import LeftOut, Line, Piece, Reason, one_line
from gateway.context.standing import Standing, standing
from gateway.context.timeline import Moments, events, said, stored_by
from gateway.entities.register import Register
from gateway.search.newest import Newest
from gateway.search.search import Hit, Search, Wanted

MOST_HITS = 20

Depth = Literal["basic", "wide", "deep", "temporal"]


@dataclass(frozen=True, slots=True)
class Asked:
    """`query` are the conversation's last words; `budget` is in tokens."""

    query: str
    depth: Depth
    budget: int
    as_of: float | None = None
    known_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Pieces in the order of their worth; `retriever` ranked the messages, if any were."""

    pieces: Sequence[Piece]
    left_out: Sequence[LeftOut] = ()
    retriever: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    packed: Packed
    as_of: float
    left_out: Sequence[LeftOut]
    retriever: str | None


class Context:
    def __init__(
        self,
        register: Register,
        search: Search,
        newest: Newest,
        count: Callable[[str], int],
        clock: Callable[[], float],
    ) -> None:
        self._register = register
        self._search = search
        self._newest = newest
        self._count = count
        self._clock = clock

    async def build(self, owner: str, asked: Asked) -> Answer:
        """Raises `Contested` while the memory is being erased."""
        held = await standing(self._register, owner, asked.query, asked.as_of, asked.known_at)
        gathered = await self._gathered(owner, asked, held)
        chosen = packed([one for one in gathered.pieces if one.lines], asked.budget, self._count)
        unread = _left("entity", "not_read", held.unread)
        left_out = [*chosen.left_out, *gathered.left_out, *unread]
        return Answer(chosen, held.as_of, left_out, gathered.retriever)

    async def _gathered(self, owner: str, asked: Asked, held: Standing) -> Gathered:
        match asked.depth:
            case "basic":
                return await self._basic(owner, asked, held)
            case "wide":
                return await self._wide(owner, asked, held)
            case "deep":
                return Gathered([facts.whole(one, held.as_of) for one in held.by_meaning()])
            case "temporal":
                return await self._temporal(owner, held)
            case _:
                assert_never(asked.depth)

    async def _basic(self, owner: str, asked: Asked, held: Standing) -> Gathered:
        profile = [
            facts.whole(one, held.as_of, "profile")
            for one in held.entities
            if facts.is_profile(one)
        ]
        others = [one for one in held.entities if not facts.is_profile(one)]
        always = [facts.always(one, held.as_of) for one in others]
        moments = Moments(held.as_of, asked.known_at, self._clock())
        latest, unread = await said(self._newest, owner, moments)
        timeline = _alternating(events(held.entities, held.as_of), latest)
        without = sum(not one.lines for one in always)
        left = _left("entity", "not_always_loaded", without)
        left += _left("message", "not_read", int(unread))
        return Gathered([*profile, *always, *timeline], left)

    async def _wide(self, owner: str, asked: Asked, held: Standing) -> Gathered:
        """What is always loaded first, then entities and messages in turns."""
        found = [facts.matching(one, held.as_of) for one in held.by_meaning()]
        always = {one.id for one in held.entities if facts.always(one, held.as_of).lines}
        loaded = [one for one in found if one.id in always]
        rest = [one for one in found if one.id not in always and one.lines]
        left = _left("entity", "not_relevant", len(found) - len(loaded) - len(rest))
        if not asked.query:
            return Gathered([*loaded, *rest], [*left, LeftOut("message", "no_query")])
        hits, retriever, unread = await self._messages(owner, asked)
        left += _left("message", "not_read", unread)
        return Gathered([*loaded, *_alternating(rest, hits)], left, retriever)

    async def _messages(self, owner: str, asked: Asked) -> tuple[list[Piece], str, int]:
        until = inf if asked.as_of is None else nextafter(asked.as_of, inf)
        wanted = Wanted(asked.query, top_k=MOST_HITS, until=until)
        found = await self._search.find(owner, wanted)
        hits = [one for one in found.hits if stored_by(one.passage.id, asked.known_at)]
        return [_hit(one) for one in hits], found.retriever, found.left_out.messages

    async def _temporal(self, owner: str, held: Standing) -> Gathered:
        ranked = held.by_meaning()
        chosen, rest = ranked[:MOST_ENTITIES], ranked[MOST_ENTITIES:]
        past = await pasts(self._register, owner, chosen, held.as_of)
        pieces = [facts.with_history(one, held.as_of, past[one.id].versions) for one in chosen]
        left = [
            LeftOut("version", "not_read", past[one.id].unread, one.id)
            for one in chosen
            if past[one.id].unread
        ]
        return Gathered(pieces, [*left, *_left("entity", "not_read", len(rest))])


def _left(kind: str, reason: Reason, count: int) -> list[LeftOut]:
    return [LeftOut(kind, reason, count)] if count else []


def _alternating(one: Iterable[Piece], other: Iterable[Piece]) -> list[Piece]:
    pairs = zip_longest(one, other)
    return [piece for pair in pairs for piece in pair if piece is not None]


def _hit(hit: Hit) -> Piece:
    passage = hit.passage
    data = {
        "id": passage.id,
        "session_id": hit.session,
        "role": passage.role,
        "date": passage.date,
        "created_at": passage.at,
        "text": passage.text,
        "score": hit.score,
    }
    line = Line(f"- {passage.date} {passage.role}: {one_line(passage.text)}", "", data)
    return Piece("messages", "message", (line,), passage.id)
