"""Counts in this process while the store is away and the limiter fails open.

Each instance then grants the whole limit by itself, and a restart forgets: better than nothing
counted, no more than that.
"""

from gateway.documents.base import Add, Written
from gateway.limits.recent import Recent

DOCUMENTS_KEPT = 4_096


class LocalCounters:
    """`Add` as the store does it, in memory of bounded size."""

    def __init__(self, documents_kept: int = DOCUMENTS_KEPT) -> None:
        self._fields: Recent[dict[str, float]] = Recent(documents_kept)

    async def commit(self, *writes: Add) -> list[Written]:
        return [Written("", self._add(write)) for write in writes]

    def _add(self, write: Add) -> dict[str, float]:
        fields = dict(self._fields.get(write.path) or {})
        for name in write.drop:
            fields.pop(name, None)
        values = {name: fields.get(name, 0) + amount for name, amount in write.amounts.items()}
        self._fields.set(write.path, fields | values)
        return values
