"""One writer of a memory at a time within this process, for as long as the store answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from gateway.documents.base import StoreUnavailable


class Turnstile:
    """Spares this process's own turns the race that other processes still run.

    When the store fails the one inside, all who wait are let through at once: one after another,
    each would wait out the store's deadline, and the last of twenty would hear of it a minute late.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def through(self, owner: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(owner, asyncio.Lock())
        async with lock:
            if self._locks.get(owner) is lock:
                try:
                    yield
                except StoreUnavailable:
                    del self._locks[owner]
                    raise
                return
        yield
