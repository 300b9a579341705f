"""The index of an owner's entities: a card each, in one document that every commit rewrites. Pure.

One document lists all entities with their current versions, so that a list costs one read, and its
compare-and-set makes the commits of one owner a sequence.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import orjson

from gateway.documents.base import Document, Version
from gateway.entities.content import Content, Kind
from gateway.errors import TooLarge

SCHEMA = 1
MAX_ENTITIES = 1000


@dataclass(frozen=True, slots=True)
class Card:
    """`version` is the number of the last one recorded. An ended entity keeps its card."""

    id: str
    kind: Kind
    name: str
    strength: float
    version: int
    valid_from: float
    valid_to: float | None
    updated_at: float
    statements: int
    always_load: bool

    def stands_at(self, moment: float) -> bool:
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)


@dataclass(frozen=True, slots=True)
class Index:
    """`commits` is the number of the last commit, `recorded_at` its time."""

    commits: int = 0
    recorded_at: float = 0.0
    cards: Mapping[str, Card] = field(default_factory=dict)
    version: Version | None = None

    def current(self, id: str) -> int:
        """The entity's current version; 0 where there is none."""
        card = self.cards.get(id)
        return card.version if card else 0

    def with_cards(self, changed: Mapping[str, Card]) -> "Index":
        cards = {**self.cards, **changed}
        if len(cards) > MAX_ENTITIES:
            raise TooLarge(
                f"A memory takes {MAX_ENTITIES} entities, ended ones included.",
                code="too_many_entities",
            )
        return replace(self, cards=cards)

    def without(self, id: str) -> "Index":
        return replace(self, cards={key: card for key, card in self.cards.items() if key != id})

    def packed(self) -> dict[str, Any]:
        lines = [list(astuple(self.cards[id])) for id in sorted(self.cards)]
        return {
            "schema": SCHEMA,
            "commits": self.commits,
            "recorded_at": self.recorded_at,
            "cards": orjson.dumps(lines).decode(),
        }

    @staticmethod
    def of(document: Document | None) -> "Index":
        if document is None:
            return Index()
        cards = [Card(*line) for line in orjson.loads(document.fields["cards"])]
        return Index(
            commits=document.fields["commits"],
            recorded_at=document.fields["recorded_at"],
            cards={card.id: card for card in cards},
            version=document.version,
        )


def card_of(id: str, content: Content, version: int, updated_at: float) -> Card:
    """`statements` counts those that have no end yet."""
    return Card(
        id=id,
        kind=content.kind,
        name=content.name,
        strength=content.strength,
        version=version,
        valid_from=content.valid_from,
        valid_to=content.valid_to,
        updated_at=updated_at,
        statements=len(content.open_statements()),
        always_load=bool(content.always_load),
    )
