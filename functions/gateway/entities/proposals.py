"""Asks the upstream model which operations a session gives reason to. Stores nothing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gateway.consulting.answers import InvalidAnswer
from gateway.consulting.model import Model
from gateway.entities.answers import Reader
from gateway.entities.asking import Known, Said, Shown, likely, question, within_budget
from gateway.entities.operations import Operation, all_applied
from gateway.entities.register import Books, Register
from gateway.errors import UpstreamFailed
from gateway.identity.base import Identity
from gateway.memory.records import new_id


@dataclass(frozen=True, slots=True)
class Proposed:
    """`base` are the versions of all entities that were shown."""

    operations: Sequence[Operation]
    base: Mapping[str, int]
    epoch: int


class Proposer:
    def __init__(
        self, register: Register, model: Model, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._register = register
        self._model = model
        self._clock = clock
        self._randomness = randomness

    async def propose(
        self, caller: Identity, session: str, transcript: Sequence[Said], valid_from: float
    ) -> Proposed:
        """Raises what asking the model raises, `UpstreamFailed` after two bad answers, `TooLarge`
        for more than the entities hold."""
        self._model.admit(caller)
        books = await self._register.books(caller.owner)
        shown = Shown.of(await self._known(caller.owner, books, transcript))
        reader = Reader(shown, transcript, session, valid_from, self._new_id)
        asked = question(shown, transcript, valid_from)
        try:
            operations = await self._model.ask(caller, asked, reader.read)
        except InvalidAnswer:
            raise UpstreamFailed(
                "The model's answer was not valid, twice; nothing is staged.",
                code="invalid_proposal",
            ) from None
        known = shown.entities.values()
        all_applied({one.id: one.content for one in known}, operations, Counter())
        base = {one.id: one.version for one in known}
        return Proposed(operations, base, books.owner.epoch)

    async def _known(self, owner: str, books: Books, transcript: Sequence[Said]) -> list[Known]:
        cards = likely(books.index.cards.values(), transcript)
        contents = await self._register.contents(owner, {card.id: card.version for card in cards})
        known = [
            Known(card.id, card.version, content, content.open_statements())
            for card in cards
            if (content := contents.get(card.id)) is not None
        ]
        return within_budget(known, self._model.count)

    def _new_id(self, prefix: str) -> str:
        return new_id(self._clock(), self._randomness.getrandbits, prefix)
