"""Legal holds: set and taken back by admins, kept in the owner's own document.

Under one the sweep leaves a memory as it is, and erasing, deleting and editing are refused with 409
`legal_hold`; new turns are stored as ever. `holds/{id}` lists them: who set each, and when. Both
documents and the audit line change in one commit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    Set,
    StoreUnavailable,
    Update,
    Write,
)
from gateway.errors import NotFound
from gateway.memory.heads import Owner

SCHEMA = 1
ATTEMPTS = 16
COLLECTION = "holds"


@dataclass(frozen=True, slots=True)
class Hold:
    """`id` is the digest that the memory's path has, `by` a subject."""

    id: str
    by: str
    since: float

    @staticmethod
    def of(document: Document) -> "Hold":
        return Hold(document.id, document.fields["by"], document.fields["since"])


class Holds:
    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock

    async def put(self, id: str, by: str, line: Create) -> Hold:
        """Hold this memory; one that is held stays so, since when and by whom it was.

        Raises `NotFound` where there is none: a hold on a mistyped id would hold nothing. Raises
        `Contested` while it is being erased: that goes on to its end.
        """
        hold = Hold(id, by, self._clock())
        listed = Set(_path(id), {"schema": SCHEMA, "by": by, "since": hold.since})
        await self._change(id, hold=True, listed=listed, line=line)
        return (await self.among([id])).get(id, hold)

    async def lift(self, id: str, line: Create) -> None:
        """The memory ages, and can be erased, again. Raises `NotFound` as `put` does."""
        await self._change(id, hold=False, listed=Delete(_path(id)), line=line)

    async def among(self, ids: Sequence[str]) -> Mapping[str, Hold]:
        found = await self._documents.get(*map(_path, ids)) if ids else []
        return {one.id: Hold.of(one) for one in found if one is not None}

    async def list(self, *, limit: int, after: str | None = None) -> tuple[list[Hold], str | None]:
        """A page in the order of ids, and where the next one begins."""
        found = await self._documents.list(COLLECTION, limit=limit + 1, after=after)
        page = [Hold.of(one) for one in found[:limit]]
        return page, page[-1].id if len(found) > limit else None

    async def _change(self, id: str, *, hold: bool, listed: Write, line: Create) -> None:
        """By compare-and-set on the owner: a turn or an erasure meanwhile is seen, not overrun."""
        root = f"owners/{id}"
        for _ in range(ATTEMPTS):
            before = Owner.of((await self._documents.get(root))[0]).readable()
            if before.version is None:
                raise NotFound("No such memory.", code="memory_not_found")
            changed = Update(root, replace(before, hold=hold).packed(), before.version)
            writes = [line] if before.hold == hold else [changed, listed, line]
            try:
                await self._documents.commit(*writes)
            except Conflict:
                continue
            return
        raise StoreUnavailable("The memory is too busy; try again.")


def _path(id: str) -> str:
    return f"{COLLECTION}/{id}"
