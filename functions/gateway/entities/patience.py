"""Trying again when another writer was first: how often, and after what pause."""

import asyncio
from random import Random

from gateway.documents.base import StoreUnavailable

ATTEMPTS = 16
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.5


class Patience:
    def __init__(self, randomness: Random) -> None:
        self._randomness = randomness

    def tries(self) -> "Tries":
        """Those of one piece of work."""
        return Tries(self._randomness)


class Tries:
    def __init__(self, randomness: Random) -> None:
        self._randomness = randomness
        self.failed = 0

    async def pause(self) -> None:
        """After a try that failed: longer each time, and jittered.

        Raises `StoreUnavailable` after the last one.
        """
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self.failed)
        self.failed += 1
        if self.failed >= ATTEMPTS:
            raise StoreUnavailable("The memory is too busy; try again.")
        await asyncio.sleep(self._randomness.uniform(0, longest))
