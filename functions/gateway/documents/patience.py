"""Trying again when another writer was first: how often, and after what pause."""

import asyncio
from random import Random

from gateway.documents.base import StoreUnavailable

ATTEMPTS = 16
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.5


class Patience:
    def __init__(self, randomness: Random, attempts: int = ATTEMPTS) -> None:
        self._randomness = randomness
        self._attempts = attempts

    def tries(self, busy: str = "The memory") -> "Tries":
        """Those of one piece of work; `busy` is what others keep changing."""
        return Tries(self._randomness, self._attempts, busy)


class Tries:
    def __init__(self, randomness: Random, attempts: int, busy: str) -> None:
        self._randomness = randomness
        self._attempts = attempts
        self._busy = busy
        self.failed = 0

    async def pause(self) -> None:
        """After a try that failed: longer each time, and jittered.

        Raises `StoreUnavailable` after the last one.
        """
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self.failed)
        self.failed += 1
        if self.failed >= self._attempts:
            raise StoreUnavailable(f"{self._busy} is too busy; try again.")
        await asyncio.sleep(self._randomness.uniform(0, longest))
