"""What admins did, as lines that are only ever added: who, what, to what, when.

A line is written before its act (`record`) or in the act's own commit (`line`); where it cannot be
written the act does not happen. A line without its act is therefore possible, an act without its
line is not. Ids begin with the moment in UTC, so that the lines list newest first. They hold ids,
names and numbers, never text or keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from gateway.documents.base import Create, Document, Documents

COLLECTION = "audit"
SCHEMA = 1
KEPT_DAYS = 400  # as long as Google keeps its own: https://cloud.google.com/logging/quotas
DAY_SECONDS = 86_400.0
MAX_CHARACTERS = 512

Detail = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    at: float
    actor: str
    act: str
    target: str
    detail: Detail

    @staticmethod
    def of(document: Document) -> "Entry":
        fields = document.fields
        return Entry(
            document.id,
            fields["at"],
            fields["actor"],
            fields["act"],
            fields["target"],
            orjson.loads(fields["detail"]),
        )


class Audit:
    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._randomness = randomness

    async def record(
        self, actor_subject: str, act: str, target: str, detail: Detail | None = None
    ) -> str:
        """The id of the line, stored. Raises `StoreUnavailable`: then leave the act."""
        line = self.line(actor_subject, act, target, detail)
        await self._documents.commit(line)
        return line.path.rpartition("/")[2]

    def line(
        self, actor_subject: str, act: str, target: str, detail: Detail | None = None
    ) -> Create:
        """The line as a write, for a commit that does the act. Raises ValueError for what is too
        long to be an id, a name or a number."""
        now = self._clock()
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "at": now,
            "actor": _short(actor_subject),
            "act": _short(act),
            "target": _short(target),
            "detail": _short(orjson.dumps(dict(detail or {})).decode()),
        }
        return Create(f"{COLLECTION}/{self._id(now)}", fields, now + KEPT_DAYS * DAY_SECONDS)

    async def list(self, *, limit: int, after: str | None = None) -> tuple[list[Entry], str | None]:
        """A page, newest first, of those before the id `after`, and where the next one begins."""
        found = await self._documents.list(
            COLLECTION, before=after, limit=limit + 1, newest_first=True
        )
        page, now = found[:limit], self._clock()
        entries = [Entry.of(one) for one in page if not one.expired(now)]
        return entries, page[-1].id if len(found) > limit else None

    def _id(self, now: float) -> str:
        moment = datetime.fromtimestamp(now, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}-{self._randomness.getrandbits(64):016x}"


def _short(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"an audit line's part takes {MAX_CHARACTERS} characters")
    return text
