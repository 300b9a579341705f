"""API keys made through the API, judged by their documents. Knows no routes and no settings.

A key is looked up by its SHA-256, so nothing is compared that a timing could tell: who knows a
digest knows nothing of the key behind it. What was found holds for `FRESH_SECONDS` in this
instance, and so does what was not found. That is the horizon of a revocation: no instance takes the
key longer, and none takes a key on trust while the store is away.

Guesses cost reads. Past `GUESSES_PER_MINUTE` keys that nobody has, an instance reads no further for
the rest of the minute: keys it knows go on working, others are told to come back.
"""

import asyncio
from collections.abc import Callable

from gateway.accounts.key import SECRET, Key, digest_of
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import PERSONAL, owner_of
from gateway.errors import RateLimited, Unauthenticated
from gateway.identity.base import Identity
from gateway.identity.kept import Kept

FRESH_SECONDS = 60.0
KNOWN_KEPT = 4_096
UNKNOWN_KEPT = 4_096
GUESSES_PER_MINUTE = 120
MINUTE = 60.0


class StoredKeyVerifier:
    def __init__(self, keys: Keys, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock
        self._known: Kept[Key] = Kept(KNOWN_KEPT, FRESH_SECONDS, clock)
        self._unknown: Kept[bool] = Kept(UNKNOWN_KEPT, FRESH_SECONDS, clock)
        self._flights: dict[str, asyncio.Task[Key | None]] = {}
        self._guesses, self._minute = 0, -1.0

    def forget(self, key: Key) -> None:
        """It was changed here: this instance reads it anew."""
        self._known.forget(key.digest)

    def claims(self, credential: str) -> bool:
        return SECRET.fullmatch(credential) is not None

    async def verify(self, credential: str) -> Identity:
        """Its person, in its workspace, with its scopes.

        Raises `Unauthenticated`, `RateLimited` after too many guesses of anybody's, and
        `StoreUnavailable` when the key is not known here and cannot be read.
        """
        key = await self._key(digest_of(credential))
        if key is None or not key.good(self._clock()):
            raise Unauthenticated("Incorrect API key provided.")
        owner = key.subject if key.workspace == PERSONAL else owner_of(key.workspace)
        return Identity(key.subject, owner, key.workspace, key.scopes, key)

    async def _key(self, digest: str) -> Key | None:
        known = self._known.get(digest)
        if known is not None or self._unknown.get(digest):
            return known
        flight = self._flights.get(digest)
        if flight is None:
            self._refuse_guesses()
            flight = asyncio.create_task(self._read(digest))
            self._flights[digest] = flight
            flight.add_done_callback(lambda landed: self._landed(digest, landed))
        return await asyncio.shield(flight)

    async def _read(self, digest: str) -> Key | None:
        """However many wait for it: it outlives a request that is cancelled meanwhile."""
        key = await self._keys.of_digest(digest)
        if key is None:
            self._guesses += 1
            self._unknown.set(digest, True)
            return None
        if key.good(self._clock()):
            key = await self._keys.used(key)
        self._known.set(digest, key)
        return key

    def _landed(self, digest: str, flight: asyncio.Task[Key | None]) -> None:
        del self._flights[digest]
        if not flight.cancelled():
            flight.exception()  # seen, also where everybody who waited for it has left

    def _refuse_guesses(self) -> None:
        now = self._clock()
        if now >= self._minute + MINUTE:
            self._guesses, self._minute = 0, now
        if self._guesses + len(self._flights) >= GUESSES_PER_MINUTE:
            raise RateLimited(
                "Too many API keys that do not exist were tried here; this one was not looked up.",
                code="too_many_unknown_keys",
                retry_after_seconds=self._minute + MINUTE - now,
            )
