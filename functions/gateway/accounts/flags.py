"""What is switched on, for the whole service and for one memory: settings, overrides above them.

Overrides are documents, `flags/service` and `flags/{digest of an owner}`; the narrower one wins. An
instance reads them once in `FRESH_SECONDS` for each owner, so that is how long a change takes to
reach every instance; while the store is away what was last known stands, or the settings.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from gateway.accounts.workspace import digest
from gateway.documents.base import (
    Conflict,
    Create,
    Document,
    Documents,
    Fields,
    StoreUnavailable,
    Update,
    Write,
)

Flag = Literal[
    "ENABLE_CONTEXT_MEMORY",  # off: nothing is stored, and nothing brought into a prompt
    "ENABLE_USAGE_ANALYTICS",  # off: nothing is counted beyond what the limits need
    "ENABLE_REDACTION",  # off: keys, addresses and numbers are stored as they were said
    "ENABLE_ORCHESTRATED_SEARCH",  # off: the upstream's model words no search
    "ENABLE_RESPONSE_CACHE",  # on: an identical request is answered from the store
]
FLAGS: tuple[Flag, ...] = get_args(Flag)

SERVICE = "service"  # no digest, which takes 52 characters
SCHEMA = 1
FRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
OWNERS_KEPT = 4_096
ATTEMPTS = 8

Overrides = Mapping[Flag, bool]
Clock = Callable[[], float]


@dataclass(slots=True)
class _Known:
    """One document's overrides as last read, good until `until` on the timer."""

    overrides: Overrides = field(default_factory=dict)
    until: float = -math.inf
    reading: asyncio.Task[None] | None = None


class Flags:
    """`defaults` name every flag; `timer` measures how old an answer is."""

    def __init__(
        self,
        documents: Documents,
        timer: Clock,
        defaults: Mapping[Flag, bool],
        owners_kept: int = OWNERS_KEPT,
    ) -> None:
        self._owners_kept = owners_kept
        self._documents = documents
        self._timer = timer
        self._defaults = defaults
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def enabled(self, flag: Flag, owner: str) -> bool:
        """Whether it is on for this memory. Never raises: the store away, what was known stands."""
        return (await self.of(owner))[flag]

    async def of(self, owner: str) -> dict[Flag, bool]:
        """All of them at once, from memory but for once in `FRESH_SECONDS`."""
        service, own = self._entry(SERVICE), self._entry(digest(owner))
        if self._timer() < min(service.until, own.until):
            return self._effective(service.overrides, own.overrides)
        return self._effective(
            *await asyncio.gather(self._fresh(SERVICE), self._fresh(digest(owner)))
        )

    async def told(self, key: str) -> tuple[dict[Flag, bool], dict[Flag, bool | None]]:
        """As the store has them now, for `SERVICE` or an owner's digest: what holds, and what is
        overridden there. Raises `StoreUnavailable`."""
        keys = list(dict.fromkeys([SERVICE, key]))
        found = await self._documents.get(*map(path_of, keys))
        overrides = [_overrides(document) for document in found]
        own: dict[Flag, bool | None] = {flag: overrides[-1].get(flag) for flag in FLAGS}
        return self._effective(*overrides), own

    async def change(self, key: str, changes: Mapping[Flag, bool | None], beside: Write) -> None:
        """Override, or with None no longer, in one commit with `beside`.

        By compare-and-set, so that of two at once neither loses the other's flag. Raises
        `StoreUnavailable`, also where others keep winning the race.
        """
        for _ in range(ATTEMPTS):
            (found,) = await self._documents.get(path_of(key))
            named: dict[str, object] = dict(changes.items())
            merged = {**(found.fields if found else {}), "schema": SCHEMA, **named}
            kept = {name: value for name, value in merged.items() if value is not None}
            try:
                await self._documents.commit(_saved(key, kept, found), beside)
            except Conflict:
                continue
            self._known.pop(key, None)  # a reading under way ends in what nobody asks any more
            return
        raise StoreUnavailable("These flags are being changed by others; try again.")

    def _entry(self, key: str) -> _Known:
        known = self._known.setdefault(key, _Known())
        self._known.move_to_end(key)
        if len(self._known) > self._owners_kept:
            self._known.popitem(last=False)
        return known

    async def _fresh(self, key: str) -> Overrides:
        """One reading runs, however many wait or leave meanwhile."""
        known = self._entry(key)
        if self._timer() >= known.until:
            if known.reading is None or known.reading.done():
                known.reading = asyncio.create_task(self._read(key, known))
            await asyncio.shield(known.reading)
        return known.overrides

    async def _read(self, key: str, known: _Known) -> None:
        try:
            (found,) = await self._documents.get(path_of(key))
        except StoreUnavailable:
            known.until = self._timer() + RETRY_SECONDS
            return
        known.overrides, known.until = _overrides(found), self._timer() + FRESH_SECONDS

    def _effective(self, *layers: Overrides) -> dict[Flag, bool]:
        """The settings, with each of the layers above those before it."""
        held = dict(self._defaults)
        for layer in layers:
            held.update(layer)
        return held


def path_of(key: str) -> str:
    return f"flags/{key}"


def _overrides(document: Document | None) -> dict[Flag, bool]:
    """Without flags that this version does not know, which an older or newer one may have set."""
    fields: Fields = document.fields if document else {}
    return {name: fields[name] for name in FLAGS if name in fields}


def _saved(key: str, fields: Fields, before: Document | None) -> Write:
    if before is None:
        return Create(path_of(key), fields)
    return Update(path_of(key), fields, before.version)
