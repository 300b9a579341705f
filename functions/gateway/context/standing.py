"""The entities that a context may take: as they stood at a moment, ranked by a question's words.

A context reads `MOST_READ` entities at most: those whose name the question has, then the strongest;
fewer where they hold so many statements that ranking them would keep others waiting.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.entities.cards import Card
from gateway.entities.content import Content, Statement
from gateway.entities.register import Register
from gateway.retrieval.base import Chunk, Passage
from gateway.retrieval.lexical import LexicalIndex, rank
from gateway.retrieval.terms import terms

MOST_READ = 64
MOST_STATEMENTS = 2000
FEWEST_COUNTED = 8  # of one entity: what holds no more is read too, and its card does not count it


@dataclass(frozen=True, slots=True)
class Entity:
    """`version` is the last one that was known, `current` the last of all.

    `scores` are those of its statements that share words with the question.
    """

    id: str
    version: int
    current: int
    content: Content
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        return max(self.scores.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """The strongest first. `unread` are those beyond the bound."""

    entities: Sequence[Entity]
    as_of: float
    unread: int

    def by_meaning(self) -> list[Entity]:
        """The most relevant first; those that share no word follow, the strongest first."""
        return sorted(self.entities, key=lambda one: -one.score)


async def standing(
    register: Register, owner: str, query: str, as_of: float | None, known_at: float | None
) -> Standing:
    """Two reads and one for each entity; a second one for each where `known_at` is given.

    Raises `Contested` while the memory is being erased.
    """
    index = (await register.books(owner)).index
    moment = register.moment(as_of, index.recorded_at)
    cards = list(index.cards.values())
    if known_at is None:
        cards = [card for card in cards if card.stands_at(moment)]
    chosen = likely(cards, query)
    numbers = {card.id: card.version for card in chosen}
    if known_at is not None:
        histories = await register.histories(owner, list(numbers))
        known = {id: one.known(known_at) for id, one in histories.items()}
        numbers = {id: mark.number for id, mark in known.items() if mark is not None}
    contents = await register.contents(owner, numbers)
    found = [
        Entity(id, numbers[id], index.current(id), content)
        for id, content in contents.items()
        if content.stands_at(moment)
    ]
    found.sort(key=lambda one: (-one.content.strength, one.id))
    return Standing(await _scored(found, query, moment), moment, len(cards) - len(chosen))


def likely(cards: Sequence[Card], query: str) -> list[Card]:
    asked = set(terms(query))
    ranked = sorted(cards, key=lambda c: (not asked & set(terms(c.name)), -c.strength, c.id))
    chosen: list[Card] = []
    room = MOST_STATEMENTS
    for card in ranked[:MOST_READ]:
        room -= max(FEWEST_COUNTED, card.statements)
        if chosen and room < 0:
            break
        chosen.append(card)
    return chosen


async def _scored(entities: Sequence[Entity], query: str, moment: float) -> list[Entity]:
    if not query:
        return list(entities)
    indexes: list[LexicalIndex] = []
    for one in entities:
        passages = tuple(_passage(one, each) for each in _begun(one, moment))
        indexes.append(LexicalIndex([Chunk(passages)] if passages else []))
        await asyncio.sleep(0)  # the largest takes some fifty milliseconds: others get their turn
    scores: dict[str, dict[str, float]] = {one.id: {} for one in entities}
    for scored in rank(query, indexes):
        for passage, score in zip(scored.chunk.passages, scored.passage_scores, strict=True):
            if score > 0:
                scores[passage.session][passage.id] = score
    return [replace(one, scores=scores[one.id]) for one in entities]


def _begun(entity: Entity, moment: float) -> list[Statement]:
    return [one for one in entity.content.statements if one.valid_from <= moment]


def _passage(entity: Entity, statement: Statement) -> Passage:
    """A statement under its entity's name: either may hold the question's words."""
    text = f"{entity.content.name}: {statement.block}: {statement.text}"
    return Passage(statement.id, entity.id, "entity", text, 0, statement.valid_from)
