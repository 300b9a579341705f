"""A lease on work that must not run twice at once, and how far that work has come.

One document, `{holder, until, cursor, finished}`, written by compare-and-set. A holder that died is
succeeded once its lease has run out, and its successor goes on from the last cursor it wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.documents.base import Conflict, Create, Document, Documents, Update, Version, Write
from gateway.errors import Contested

NEVER = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """`cursor` is where an unfinished round goes on; `finished` when the last whole one ended."""

    cursor: str | None = None
    finished: float = NEVER


class Lease:
    def __init__(
        self,
        documents: Documents,
        path: str,
        clock: Callable[[], float],
        holder: str,
        seconds: float,
    ) -> None:
        self._documents = documents
        self._path = path
        self._clock = clock
        self._holder = holder
        self._seconds = seconds
        self._version: Version | None = None

    async def progress(self) -> Progress:
        return _progress(await self._read())

    async def take(self) -> Progress:
        """Raises `Contested` while somebody else's lease is valid."""
        found = await self._read()
        left = found.fields["until"] - self._clock() if found else 0.0
        if left > 0:
            raise _contested(left)
        self._version = found.version if found else None
        progress = _progress(found)
        await self.keep(progress)
        return progress

    async def keep(self, progress: Progress) -> None:
        """Renew. Raises `Contested` when the lease ran out and somebody else has taken it."""
        await self._write(progress, self._holder, self._clock() + self._seconds)

    async def release(self, progress: Progress) -> None:
        await self._write(progress, "", NEVER)

    async def _read(self) -> Document | None:
        return (await self._documents.get(self._path))[0]

    async def _write(self, progress: Progress, holder: str, until: float) -> None:
        fields: dict[str, Any] = {
            "schema": 1,
            "holder": holder,
            "until": until,
            "cursor": progress.cursor,
            "finished": progress.finished,
        }
        write: Write = Create(self._path, fields)
        if self._version is not None:
            write = Update(self._path, fields, self._version)
        try:
            self._version = (await self._documents.commit(write))[0].version
        except Conflict:
            raise _contested(self._seconds) from None


def _progress(found: Document | None) -> Progress:
    if found is None:
        return Progress()
    return Progress(found.fields["cursor"], found.fields["finished"])


def _contested(seconds: float) -> Contested:
    return Contested("Another run is at it.", code="already_running", retry_after_seconds=seconds)
