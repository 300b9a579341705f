"""Messages of a made-up past, and a log to keep them in; ids and times come from the caller."""

from collections.abc import Sequence
from random import Random
from typing import Any

from gateway.documents.base import Documents, Write
from gateway.memory.growth import Addition
from gateway.memory.heads import Head
from gateway.memory.log import MessageLog
from gateway.memory.records import Record, content_hash, new_id
from limits.clock import Clock

NOON = 20_000 * 86_400.0 + 43_200
ALICE, BOB = "key:alice", "key:bob"


class Scribe:
    """Writes records as a turn would, a second after one another, and appends them to `log`."""

    def __init__(self, documents: Documents, *, owner: str = ALICE, seed: int = 7) -> None:
        self.clock = Clock(NOON)
        self.randomness = Random(seed)
        self.owner = owner
        self.log = MessageLog(documents, self.clock, self.randomness)

    def record(self, role: str, text: str, **fields: Any) -> Record:
        return record(self.randomness, role, text, at=self.clock(), owner=self.owner, **fields)

    def turn(self, question: str, answer: str = "Noted.") -> list[Record]:
        self.clock.now += 1
        return [self.record("user", question), self.record("assistant", answer)]

    async def append(
        self,
        session: str,
        *records: Record,
        key: str | None = None,
        beside: Sequence[Write] = (),
        **fields: Any,
    ) -> Head:
        name = key or new_id(self.clock(), self.randomness.getrandbits, "k")
        added = Addition(key=name, records=records, beside=beside, **fields)
        return await self.log.append(self.owner, session, lambda _: added)

    async def texts(self, session: str) -> list[str]:
        return [one.content for one in await self.log.messages(self.owner, session)]


def record(
    randomness: Random,
    role: str,
    text: str,
    *,
    at: float = NOON,
    owner: str = ALICE,
    **fields: Any,
) -> Record:
    """A message as it comes to an append: no session, sequence or parent yet."""
    return Record(
        **{
            "id": new_id(at, randomness.getrandbits),
            "session": "",
            "sequence": 0,
            "parent": None,
            "role": role,
            "content": text,
            "tokens": len(text.split()),
            "at": at,
            "hash": content_hash(owner, role, text, ()),
            **fields,
        }
    )
