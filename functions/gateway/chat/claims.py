"""Idempotency keys: a request is claimed before any money is spent, its answer kept for a day.

A second request with the key meets 409 while the first is in flight and the stored answer after.
Keys live under the owner's path, hashed, so nobody can replay another's
(https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
"""

import base64
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    Fields,
    Set,
    StoreUnavailable,
    Update,
    Version,
)
from gateway.errors import BadRequest, Contested
from gateway.memory.records import content_hash, owner_path
from gateway.memory.upgrades import SCHEMA, current

KEPT_SECONDS = 24 * 3600.0
IN_FLIGHT_SECONDS = 330.0  # past the platform's own request timeout nobody is working on it
MAX_STORED_BYTES = 400 * 1024


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    path: str
    body_digest: str
    version: Version = ""


class Claims:
    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock

    async def take(self, owner: str, key: str, body: bytes) -> Claim | StoredAnswer:
        """Claim `key` for this request.

        Raises `Contested` while another request holds it, `BadRequest` when it was used with
        another body.
        """
        path = f"{owner_path(owner)}/requests/{content_hash(owner, 'request', key, ())}"
        claim = Claim(path, hashlib.sha256(body).hexdigest())
        now = self._clock()
        try:
            in_flight = Create(path, _in_flight(claim), now + IN_FLIGHT_SECONDS)
            written = await self._documents.commit(in_flight)
        except Conflict:
            return await self._taken(claim, now)
        return replace(claim, version=written[0].version)

    def kept(self, claim: Claim, answer: StoredAnswer) -> Set:
        """The write that stores the answer, for the turn's own commit."""
        fields: dict[str, Any] = {"schema": SCHEMA, "state": "done", "digest": claim.body_digest}
        if len(answer.body) <= MAX_STORED_BYTES:
            body = base64.b64encode(answer.body).decode()
            fields |= {"status": answer.status, "headers": answer.headers, "body": body}
        return Set(claim.path, fields, self._clock() + KEPT_SECONDS)

    async def keep(self, claim: Claim, answer: StoredAnswer) -> None:
        """Store the answer alone, unless the claim was erased or taken over meanwhile.

        While the store is away it is not kept, and the key stays claimed: the answer was paid for
        and reaches its client all the same.
        """
        kept = self.kept(claim, answer)
        with contextlib.suppress(Conflict, StoreUnavailable):
            await self._documents.commit(
                Update(kept.path, kept.fields, claim.version, kept.expires_at)
            )

    async def release(self, claim: Claim) -> None:
        """Let the key be used again: the request failed and nothing was stored.

        A claim that was taken over is another's. While the store is away the key stays claimed for
        `IN_FLIGHT_SECONDS`, and the request's own failure is what the client hears of.
        """
        with contextlib.suppress(Conflict, StoreUnavailable):
            await self._documents.commit(Delete(claim.path, claim.version))

    async def _taken(self, claim: Claim, now: float) -> Claim | StoredAnswer:
        found = (await self._documents.get(claim.path))[0]
        if found is None:
            raise _in_use()  # released between our create and our read
        if found.expired(now):
            return await self._take_over(claim, found, now)
        fields = current(found, "request")
        if fields["digest"] != claim.body_digest:
            raise BadRequest(
                "This Idempotency-Key was used with another request body.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        if fields["state"] != "done":
            raise _in_use()
        return _answer(fields)

    async def _take_over(self, claim: Claim, found: Document, now: float) -> Claim:
        try:
            written = await self._documents.commit(
                Update(claim.path, _in_flight(claim), found.version, now + IN_FLIGHT_SECONDS)
            )
        except Conflict:
            raise _in_use() from None
        return replace(claim, version=written[0].version)


def _in_flight(claim: Claim) -> dict[str, Any]:
    return {"schema": SCHEMA, "state": "in_flight", "digest": claim.body_digest}


def _answer(fields: Fields) -> StoredAnswer:
    if "body" not in fields:
        raise Contested(
            "This request was answered before, and its answer was too large to keep.",
            code="answer_not_kept",
        )
    return StoredAnswer(fields["status"], fields["headers"], base64.b64decode(fields["body"]))


def _in_use() -> Contested:
    return Contested(
        "A request with this Idempotency-Key is in flight.",
        code="idempotency_key_in_use",
        retry_after_seconds=1,
    )
