"""Ids that stand for something the upstream keeps, such as a response, and whose they are.

One upstream key serves many people, and the upstream would let whoever names a thing read it. So
what a person was given is noted, as a digest under the owner's path and keyed by the person, for as
long as the upstream keeps it (https://platform.openai.com/docs/guides/conversation-state: 30 days).
Notes live beside the idempotency keys and go with them: in an erasure, and past their time.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence

from gateway.documents.base import Documents, Set, StoreUnavailable
from gateway.memory.records import content_hash, owner_path
from gateway.memory.upgrades import SCHEMA, current

KEPT_SECONDS = 30 * 24 * 3600.0


class Names:
    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock

    async def found(self, owner: str, subject: str, names: Sequence[str]) -> Mapping[str, str]:
        """The session of each that is the person's; empty for a turn that had none."""
        paths = [_path(owner, subject, name) for name in names]
        documents = await self._documents.get(*paths) if paths else []
        now = self._clock()
        return {
            name: current(document, "request")["session"]
            for name, document in zip(names, documents, strict=True)
            if document is not None and not document.expired(now)
        }

    def kept(self, owner: str, subject: str, names: Sequence[str], session: str) -> list[Set]:
        """The writes that note them, for the turn's own commit."""
        fields = {"schema": SCHEMA, "state": "name", "session": session}
        until = self._clock() + KEPT_SECONDS
        return [Set(_path(owner, subject, name), fields, until) for name in names]

    async def keep(self, owner: str, subject: str, names: Sequence[str], session: str) -> None:
        """Note them alone. While the store is away they are not, and nobody may name them."""
        if names:
            with contextlib.suppress(StoreUnavailable):
                await self._documents.commit(*self.kept(owner, subject, names, session))


def _path(owner: str, subject: str, name: str) -> str:
    return f"{owner_path(owner)}/requests/{content_hash(owner, 'name', name, (subject,))}"
