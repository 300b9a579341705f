"""Messages that come without an answer being asked: a past to import, a note to keep."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from gateway.errors import BadRequest
from gateway.memory.growth import Addition
from gateway.memory.heads import Head
from gateway.memory.log import MessageLog
from gateway.memory.records import INSTANT_SECONDS, Record, content_hash, new_id, random_part
from gateway.memory.segments import size

COMMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """One message as it shall be stored; `at` None means now. `said` are its words as they were
    handed in, by which it is known again, where `content` has not all of them."""

    role: str
    content: str
    session: str
    tokens: int
    at: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expires_at: float | None = None
    pin: bool = False
    said: str | None = None


class Intake:
    def __init__(self, log: MessageLog, clock: Callable[[], float], randomness: Random) -> None:
        self._log = log
        self._clock = clock
        self._randomness = randomness

    async def store(
        self, owner: str, given: Sequence[Given], idempotency_key: str | None = None
    ) -> list[Record]:
        """Append the messages in the order given; returns them as stored.

        One commit for each run of messages of a session, cut at `COMMIT_BYTES`. Each is idempotent
        when a key is given, so that a call which failed half-way can be repeated whole: what it had
        stored is found again by the random part of its ids, which the key decides.
        """
        now = self._clock()
        call = idempotency_key or new_id(now, self._randomness.getrandbits, "k")
        records = [
            self._record(owner, one, now + i * INSTANT_SECONDS, f"{i}:{call}")
            for i, one in enumerate(given)
        ]
        stored: list[Record] = []
        for number, (session, part) in enumerate(_parts(given, records)):
            key = content_hash(owner, "intake", f"{number}:{call}", ())
            head = await self._log.append(owner, session, _adding(key, part))
            stored += await self._as_stored(owner, head, part)
        return stored

    async def _as_stored(self, owner: str, head: Head, part: Sequence[Record]) -> Sequence[Record]:
        """The part itself, or on a repeated call the records that the first one stored."""
        if {record.id for record in part} <= {entry.id for entry in head.log}:
            return part
        known = {
            random_part(record.id): record for record in await self._log.stored(owner, head.session)
        }
        if not all(random_part(record.id) in known for record in part):
            raise BadRequest(
                "This Idempotency-Key was used with other messages.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return [known[random_part(record.id)] for record in part]

    def _record(self, owner: str, given: Given, now: float, name: str) -> Record:
        words = given.content if given.said is None else given.said
        hash = content_hash(owner, given.role, words, ())
        return Record(
            id=new_id(now, _bits_of(content_hash(owner, "id", name, (hash, given.session)))),
            session="",
            sequence=0,
            parent=None,
            role=given.role,
            content=given.content,
            tokens=given.tokens,
            at=now if given.at is None else given.at,
            hash=hash,
            metadata=given.metadata,
            expires_at=given.expires_at,
            pin=given.pin,
        )


def _bits_of(hash: str) -> Callable[[int], int]:
    return lambda bits: int(hash, 32) % (1 << bits)


def _adding(key: str, records: Sequence[Record]) -> Callable[[Head], Addition]:
    return lambda _: Addition(key=key, records=records)


def _parts(given: Sequence[Given], records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    parts: list[tuple[str, list[Record]]] = []
    weight = 0
    for one, record in zip(given, records, strict=True):
        added = size(replace(record, at=0.0))  # the hour must not move the cut of a repeated call
        if not parts or parts[-1][0] != one.session or weight + added > COMMIT_BYTES:
            parts.append((one.session, []))
            weight = 0
        parts[-1][1].append(record)
        weight += added
    return parts
