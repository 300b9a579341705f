"""Messages that come without an answer being asked: a past to import, a note to keep."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from gateway.memory.heads import Head
from gateway.memory.log import Addition, MessageLog
from gateway.memory.records import Record, content_hash, new_id
from gateway.memory.segments import size

COMMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """One message as it was handed in; `at` None means now."""

    role: str
    content: str
    session: str
    tokens: int
    at: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


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
        when a key is given, so that a call which failed half-way can be repeated whole.
        """
        now = self._clock()
        records = [self._record(owner, one, now) for one in given]
        for number, (session, part) in enumerate(_parts(given, records)):
            key = new_id(now, self._randomness.getrandbits, "k")
            if idempotency_key is not None:
                key = content_hash(owner, "intake", f"{number}:{idempotency_key}", ())
            await self._log.append(owner, session, _adding(key, part))
        return records

    def _record(self, owner: str, given: Given, now: float) -> Record:
        return Record(
            id=new_id(now, self._randomness.getrandbits),
            session="",
            sequence=0,
            parent=None,
            role=given.role,
            content=given.content,
            tokens=given.tokens,
            at=now if given.at is None else given.at,
            hash=content_hash(owner, given.role, given.content, ()),
            metadata=given.metadata,
        )


def _adding(key: str, records: Sequence[Record]) -> Callable[[Head], Addition]:
    return lambda _: Addition(key=key, records=records)


def _parts(given: Sequence[Given], records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    parts: list[tuple[str, list[Record]]] = []
    weight = 0
    for one, record in zip(given, records, strict=True):
        added = size(replace(record, session=one.session))
        if not parts or parts[-1][0] != one.session or weight + added > COMMIT_BYTES:
            parts.append((one.session, []))
            weight = 0
        parts[-1][1].append(record)
        weight += added
    return parts
