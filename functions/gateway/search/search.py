"""A search of one person's memory: ranked by whoever ranks for prompts, filtered, weighed.

The ranker reads the memory whole, so that what the GPU tier keeps of it serves every search, and
the filters apply to what it found. Places that this leaves open are filled by shared words, with
every message as a candidate. A search keeps and changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.memory.recall import NEVER
from gateway.memory.records import Record, session_key
from gateway.redaction.redaction import Redaction
from gateway.retention.decisions import DAY_SECONDS, importance_of
from gateway.retention.importance import Importance, importance
from gateway.retrieval.base import Passage, Question, Ranker, Ranking
from gateway.retrieval.lexical import rank
from gateway.retrieval.timing import timed
from gateway.search.library import Bounds, Facts, Holdings, LeftOut, Library
from gateway.search.scoring import Match, Parts, Weights, matches, recency, room_below, scaled
from gateway.telemetry.record import current
from gateway.telemetry.stages import stage

MAX_WEIGHED = 2_000  # of one ranking: an importance takes some fifty microseconds
LONG_AGO = -NEVER


@dataclass(frozen=True, slots=True)
class Wanted:
    """`since` is the first moment that counts, `until` the first one that no longer does."""

    query: str
    top_k: int = 5
    session: str | None = None
    role: str | None = None
    since: float = LONG_AGO
    until: float = NEVER
    importance_min: float = 0.0
    include_archived: bool = False

    def admits(self, passage: Passage) -> bool:
        said_then = self.since <= passage.at < self.until
        return said_then and self.role in {None, passage.role}

    @property
    def bounds(self) -> Bounds:
        only = "" if self.session is None else session_key(self.session)
        return Bounds(only, self.until, self.include_archived)


@dataclass(frozen=True, slots=True)
class Hit:
    """`ranks` are the message's by each method, where several ranked."""

    passage: Passage
    session: str | None
    archived: bool
    score: float
    parts: Parts
    importance: Importance
    uses: int
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """`retriever` as in `x-memory-retriever`; `relevant`, whether a prompt would get the best hit
    too. `unweighed` are matches that a filter by importance had no room to look at."""

    hits: Sequence[Hit]
    retriever: str
    relevant: bool
    searched: int
    left_out: LeftOut
    unweighed: int = 0


@dataclass(frozen=True, slots=True)
class Valued:
    """A message's importance, and how often it was used in a prompt."""

    importance: Importance
    uses: int


class Search:
    def __init__(
        self,
        library: Library,
        ranker: Ranker,
        weights: Weights,
        clock: Callable[[], float],
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._library = library
        self._ranker = ranker
        self._weights = weights
        self._clock = clock

    async def find(self, owner: str, wanted: Wanted) -> Found:
        """The best `top_k` of what is wanted. Raises `Contested` while the memory is erased."""
        current().searches += 1
        with stage("search"):
            return await self._find(owner, wanted)

    async def _find(self, owner: str, wanted: Wanted) -> Found:
        now = self._clock()
        held = await self._library.open(owner, wanted.query, wanted.bounds, now)
        searched = sum(index.size for index in held.indexes)
        if not searched:
            return Found((), "none; reason=no-memory", False, 0, held.left_out)
        desk = _Desk(wanted, held, self._weights, now)
        ranking = await self._ranked(owner, wanted, held)
        found = desk.admitted(matches(ranking.scored))
        relevant = bool(found) and found[0].relevance >= ranking.scale.floor
        hits = desk.weighed(first := scaled(found), ranking)
        retriever = ranking.retriever
        if len(hits) < wanted.top_k:
            more = desk.weighed(desk.filling(first), None)
            retriever = retriever if hits or not more else _words_alone(retriever)
            hits = [*hits, *more]
        best = sorted(hits, key=_order)[: wanted.top_k]
        names = await self._library.names(
            owner, (one.passage.session for one in best), held.sessions
        )
        named = [replace(one, session=names.get(one.passage.session)) for one in best]
        return Found(named, retriever, relevant, searched, held.left_out, desk.unweighed)

    async def importances(self, owner: str, records: Sequence[Record]) -> list[Valued]:
        """Of each of these, as a search would weigh it now."""
        now = self._clock()
        facts = await self._library.facts(owner)
        return [
            Valued(
                importance_of(one, facts.uses, now, repeated=one.id in facts.repeated),
                facts.uses.counts[one.id],
            )
            for one in records
        ]

    async def _ranked(self, owner: str, wanted: Wanted, held: Holdings) -> Ranking:
        def beside(passage: Passage) -> bool:
            return not wanted.admits(passage)

        query = (await self._redaction.of(owner)).unlisted(wanted.query)
        question = Question(query, held.indexes, owner, held.epoch, beside)
        return await timed(self._ranker, question)


class _Desk:
    """One search's filters and weights."""

    def __init__(self, wanted: Wanted, held: Holdings, weights: Weights, now: float) -> None:
        self._wanted = wanted
        self._held = held
        self._weights = weights
        self._now = now
        self._facts = Facts.joined(one.facts for one in (*held.shelves, *held.archived))
        self._archived = {
            passage.id
            for shelf in held.archived
            for chunk in shelf.index.chunks
            for passage in chunk.passages
        }
        self.unweighed = 0

    def admitted(self, found: Iterable[Match]) -> list[Match]:
        return [one for one in found if self._wanted.admits(one.passage)]

    def filling(self, first: Sequence[Match]) -> list[Match]:
        """What shares words with the query beyond `first`, all of it less relevant."""
        indexes = self._held.indexes
        every = rank(self._wanted.query, indexes, limit=sum(len(one.chunks) for one in indexes))
        known = {one.passage.id for one in first}
        return scaled(self.admitted(matches(every, known)), room_below(first))

    def weighed(self, found: Sequence[Match], ranking: Ranking | None) -> list[Hit]:
        self.unweighed += max(0, len(found) - MAX_WEIGHED)
        hits = (self._hit(one, ranking) for one in found[:MAX_WEIGHED])
        return [hit for hit in hits if hit.importance.value >= self._wanted.importance_min]

    def _hit(self, match: Match, ranking: Ranking | None) -> Hit:
        passage, uses = match.passage, self._facts.uses
        weight = self._importance(passage)
        parts = Parts(match.relevance, weight.value, recency(passage.at, self._now))
        return Hit(
            passage,
            None,
            passage.id in self._archived,
            self._weights.score(parts),
            parts,
            weight,
            uses.counts[passage.id],
            ranking.ranks.get(passage.id, {}) if ranking else {},
        )

    def _importance(self, passage: Passage) -> Importance:
        facts = self._facts
        idle_since = max(passage.at, facts.uses.last.get(passage.id, passage.at))
        return importance(
            role=passage.role,
            text=passage.text,
            idle_days=(self._now - idle_since) / DAY_SECONDS,
            uses=facts.uses.counts[passage.id],
            pinned=passage.id in facts.pinned,
            override=facts.overrides.get(passage.id),
            repeated=passage.id in facts.repeated,
        )


def _words_alone(retriever: str) -> str:
    """Who ranked when the ranker itself found nothing relevant, or nothing that is wanted."""
    return retriever if retriever.startswith("lexical") else "lexical; reason=below-floor"


def _order(hit: Hit) -> tuple[float, float, str]:
    return -hit.score, -hit.passage.at, hit.passage.id
