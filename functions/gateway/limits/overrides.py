"""What admins allow single identities, instead of what the settings say.

All of them stand in one document, so that an instance reads it once a minute for everybody and a
turn reads nothing. A change holds on every instance within `FRESH_SECONDS`.
"""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import orjson

from gateway.accounts.allowance import Allowance
from gateway.documents.base import (
    Conflict,
    Create,
    Document,
    Documents,
    StoreUnavailable,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.errors import BadRequest

PATH = "ops/overrides"
FRESH_SECONDS = 60.0
MOST_OVERRIDES = 2_000  # 250 bytes each

Said = Mapping[str, Allowance]


class Overrides:
    """By the digest of the subject."""

    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._patience = Patience(randomness)
        self._known: Said = {}
        self._read_at = -FRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    def known(self, digest: str) -> Allowance | None:
        """As last read."""
        return self._known.get(digest)

    async def fresh(self) -> None:
        """Read them where that was a minute ago; however many wait, one read is made.

        While the store is away the last ones hold: the limiter decides what that means.
        """
        if self._clock() < self._read_at + FRESH_SECONDS:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def of(self, digest: str) -> Allowance | None:
        """As it is in the store now."""
        return _said(await self._document()).get(digest)

    async def set(self, digest: str, allowance: Allowance, *beside: Write) -> None:
        """With `beside` in the same commit. Raises `BadRequest` when there are too many."""

        def changed(said: Said) -> Said:
            if digest not in said and len(said) >= MOST_OVERRIDES:
                raise BadRequest(
                    f"There are {MOST_OVERRIDES} of these at most.", code="too_many_limits"
                )
            return {**said, digest: allowance}

        await self._change(changed, *beside)

    async def delete(self, digest: str, *beside: Write) -> bool:
        """Whether there was one. `beside` is committed in either case."""
        there = False

        def changed(said: Said) -> Said:
            nonlocal there
            there = digest in said
            return {name: one for name, one in said.items() if name != digest}

        await self._change(changed, *beside)
        return there

    async def _change(self, change: Callable[[Said], Said], *beside: Write) -> None:
        tries = self._patience.tries("The document of limits")
        while True:
            before = await self._document()
            after = change(_said(before))
            write: Write = Create(PATH, _packed(after))
            if before is not None:
                write = Update(PATH, _packed(after), before.version)
            try:
                await self._documents.commit(write, *beside)
            except Conflict:
                await tries.pause()
                continue
            self._known, self._read_at = after, self._clock()
            return

    async def _read(self) -> None:
        try:
            self._known = _said(await self._document())
        except StoreUnavailable:
            return
        self._read_at = self._clock()

    async def _document(self) -> Document | None:
        return (await self._documents.get(PATH))[0]


def _said(document: Document | None) -> Said:
    if document is None:
        return {}
    packed: Mapping[str, Any] = orjson.loads(document.fields["identities"])
    return {digest: Allowance.of(one) for digest, one in packed.items()}


def _packed(said: Said) -> dict[str, Any]:
    packed = {digest: one.packed() for digest, one in said.items()}
    return {"schema": 1, "identities": orjson.dumps(packed).decode()}
