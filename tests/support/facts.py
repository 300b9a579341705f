"""Entities of a made-up life, written as a caller would; times come from a clock of the test's."""

from collections.abc import Sequence
from random import Random
from typing import Any

from gateway.documents.base import Documents
from gateway.documents.patience import Patience
from gateway.entities.commits import Commit
from gateway.entities.editor import Changes, Editor, Given, Replaced
from gateway.entities.ledger import Ledger
from gateway.entities.register import Register, View
from gateway.entities.removal import Removal
from gateway.entities.reversals import Reversals
from gateway.entities.staging import Staging
from limits.clock import Clock
from support.memories import ALICE, NOON

DAY = 86_400.0


class Records:
    def __init__(self, documents: Documents, *, owner: str = ALICE, seed: int = 7) -> None:
        self.clock = Clock(NOON)
        self.randomness = Random(seed)
        self.owner = owner
        patience = Patience(self.randomness)
        self.register = Register(documents, self.clock)
        self.ledger = Ledger(documents, self.register, self.clock, patience)
        self.editor = Editor(self.register, self.ledger, self.clock, self.randomness)
        self.reversals = Reversals(self.register, self.ledger, self.clock, patience)
        self.removal = Removal(documents, self.register, patience)
        self.staging = Staging(documents, self.register, self.ledger, self.clock, patience)

    async def create(self, name: str, *texts: str, **named: Any) -> View:
        statements = [Given(text) for text in texts]
        told = {"kind": "person", "statements": statements, **named}
        return await self.editor.create(self.owner, name=name, **told)

    async def add(self, view: View, text: str, **named: Any) -> View:
        return await self.edit(view, Changes(add=[Given(text)], **named))

    async def replace(
        self, view: View, text: str, *, place: int = 0, sources: Sequence[str] = (), **named: Any
    ) -> View:
        given = Replaced(view.content.statements[place].id, Given(text, sources=sources))
        return await self.edit(view, Changes(replace=[given], **named))

    async def edit(self, view: View, changes: Changes) -> View:
        return await self.editor.edit(self.owner, view.id, view.history.current, changes)

    async def texts(self, id: str, **when: Any) -> list[str]:
        view = await self.register.get(self.owner, id, **when)
        return [one.text for one in view.content.holding(view.as_of)]

    async def commits(self) -> Sequence[Commit]:
        return await self.register.commits(self.owner, limit=100)
