"""Counts billed operations around any `Documents`: for metrics, for the log line of the request
that they are of, and so that tests assert them as numbers. What several requests share (a write of
the limiter's) is told of the one that began it.

Firestore bills a read per document asked for or found by a query (one at least), a write per
document written and a delete per document deleted (https://cloud.google.com/firestore/pricing). A
tree is deleted by what a query finds of it, so each of its documents is a read too.
"""

from dataclasses import dataclass

from gateway.documents.base import Delete, Document, Documents, Write, Written
from gateway.telemetry.record import current


@dataclass(slots=True)
class Operations:
    reads: int = 0
    writes: int = 0
    deletes: int = 0


class MeteredDocuments:
    def __init__(self, inner: Documents) -> None:
        self._inner = inner
        self.operations = Operations()

    def reset(self) -> Operations:
        """The counts so far; counting starts again at zero."""
        counted, self.operations = self.operations, Operations()
        return counted

    async def get(self, *paths: str) -> list[Document | None]:
        self._count(reads=len(paths))
        return await self._inner.get(*paths)

    async def commit(self, *writes: Write) -> list[Written]:
        written = await self._inner.commit(*writes)
        deletes = sum(isinstance(write, Delete) for write in writes)
        self._count(writes=len(writes) - deletes, deletes=deletes)
        return written

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        found = await self._inner.list(
            collection, after=after, before=before, limit=limit, newest_first=newest_first
        )
        self._count(reads=max(1, len(found)))
        return found

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        deleted = await self._inner.delete_tree(path, limit=limit)
        self._count(reads=max(1, deleted), deletes=deleted)
        return deleted

    async def close(self) -> None:
        await self._inner.close()

    def _count(self, reads: int = 0, writes: int = 0, deletes: int = 0) -> None:
        for counts in (self.operations, current()):
            counts.reads += reads
            counts.writes += writes
            counts.deletes += deletes
