"""Documents past their time: deleted here where the store does not do so by itself.

Firestore's TTL policies delete within a day or so; SQLite and the emulator never do.
"""

import asyncio

from gateway.accounts.audit import COLLECTION as AUDIT
from gateway.accounts.audit import oldest_kept
from gateway.documents.base import Conflict, Delete, Document, Documents
from gateway.memory.storage import day_of_expiry
from gateway.retention.decisions import DAY_SECONDS

TEMPORARY = ("requests", "staging")
PAGE = 16  # documents held at once; a stored answer may take half a megabyte


async def delete_expired(
    documents: Documents, root: str, now: float, *, dry_run: bool = False
) -> int:
    """How many documents of the owner's were past their time at `now`."""
    due = day_of_expiry(now + DAY_SECONDS)  # archives' ids below it are of today or before
    counts = await asyncio.gather(
        _delete(documents, f"{root}/archive", now, before=due, dry_run=dry_run),
        *(_delete(documents, f"{root}/{name}", now, dry_run=dry_run) for name in TEMPORARY),
    )
    return sum(counts)


async def delete_audit(documents: Documents, now: float, *, dry_run: bool = False) -> int:
    """How many audit lines were past their time. Ids are moments, so the due ones come first."""
    return await _delete(documents, AUDIT, now, before=oldest_kept(now), dry_run=dry_run)


async def _delete(
    documents: Documents,
    collection: str,
    now: float,
    *,
    before: str | None = None,
    dry_run: bool,
) -> int:
    after, deleted = None, 0
    while True:
        page = await documents.list(collection, after=after, before=before, limit=PAGE)
        due = [document for document in page if document.expired(now)]
        deleted += len(due) if dry_run else await _commit(documents, due)
        if len(page) < PAGE:
            return deleted
        after = page[-1].id


async def _commit(documents: Documents, due: list[Document]) -> int:
    """None of them when one was renewed meanwhile (a key claimed anew): the next run sees to it."""
    if not due:
        return 0
    try:
        await documents.commit(*(Delete(document.path, document.version) for document in due))
    except Conflict:
        return 0
    return len(due)
