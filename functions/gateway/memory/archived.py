"""One archived message by its id: read, and deleted before its time.

An archive has no index by id, so its documents are read page by page, those archived last first.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random

from gateway.documents.base import (
    Conflict,
    Delete,
    Document,
    Documents,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.errors import NotFound
from gateway.memory.growth import unquoted
from gateway.memory.heads import Head, Owner
from gateway.memory.heirs import bequeathed
from gateway.memory.records import Record, made_at_milliseconds, owner_path
from gateway.memory.storage import archive_fields, read_segment

PREFIX = "m"
PAGE = 4


@dataclass(frozen=True, slots=True)
class Shelved:
    """An archived message with the document that it lies in. `session` is the client's name of its
    session, None once that is gone."""

    record: Record
    session: str | None
    document: Document
    owner: Owner


class Archived:
    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._patience = Patience(randomness)

    async def get(self, owner: str, id: str) -> Shelved:
        """Raises `NotFound`: also for someone else's, and for one whose time is over."""
        if not id.startswith(PREFIX) or made_at_milliseconds(id) is None:
            raise _missing()
        root = owner_path(owner)
        state = Owner.of((await self._documents.get(root))[0]).readable()
        page = await self._page(root, None)
        while page:
            for document in page:
                records = [] if document.expired(self._clock()) else read_segment(document)
                if record := next((one for one in records if one.id == id), None):
                    return Shelved(record, await self._session(root, record), document, state)
            last = page[-1].id
            page = await self._page(root, last) if len(page) == PAGE else []
        raise _missing()

    async def page(self, owner: str, before: str | None) -> tuple[list[Shelved], str | None]:
        """What lies in a few documents, those archived last first; and where the next page begins.

        Raises `Contested` while the memory is being erased.
        """
        root, now = owner_path(owner), self._clock()
        state = Owner.of((await self._documents.get(root))[0]).readable()
        documents = await self._page(root, before)
        found = [
            (record, document)
            for document in documents
            if not document.expired(now)
            for record in reversed(read_segment(document))
            if record.alive(now)
        ]
        names = await self._names(root, {record.session for record, _ in found})
        shelved = [Shelved(one, names.get(one.session), at, state) for one, at in found]
        return shelved, documents[-1].id if len(documents) == PAGE else None

    async def delete(self, owner: str, id: str) -> None:
        """Out of the archive, and out of every memory block that quotes it.

        Raises `NotFound`, and `Contested` under a legal hold.
        """
        tries = self._patience.tries()
        while True:
            found = await self.get(owner, id)
            found.owner.erasable()
            try:
                await self._documents.commit(*await self._writes(owner_path(owner), found))
                return
            except Conflict:
                await tries.pause()

    async def _writes(self, root: str, found: Shelved) -> list[Write]:
        paths = [f"{root}/sessions/{key}" for key in found.owner.open]
        heads = await self._documents.get(*paths) if paths else []
        return [without(found), *_unquoted(found.record, [one for one in heads if one])]

    async def _session(self, root: str, record: Record) -> str | None:
        return (await self._names(root, {record.session})).get(record.session)

    async def _names(self, root: str, keys: Collection[str]) -> dict[str, str]:
        """The clients' names of sessions, but of those that are gone."""
        if not keys:
            return {}
        found = await self._documents.get(*(f"{root}/sessions/{key}" for key in sorted(keys)))
        heads = [Head.of(one, "") for one in found if one is not None]
        return {head.key: head.session for head in heads}

    async def _page(self, root: str, before: str | None) -> list[Document]:
        return await self._documents.list(
            f"{root}/archive", before=before, limit=PAGE, newest_first=True
        )


def without(found: Shelved) -> Write:
    """The archive's document without the message, or its end."""
    document, id = found.document, found.record.id
    kept = [one for one in bequeathed(read_segment(document), (id,)) if one.id != id]
    if not kept:
        return Delete(document.path, document.version)
    fields = archive_fields(kept, document.fields["archived_at"])
    return Update(document.path, fields, document.version, document.expires_at)


def _unquoted(record: Record, documents: Sequence[Document]) -> list[Write]:
    writes: list[Write] = []
    for document in documents:
        head = Head.of(document, "")
        if (cleared := unquoted(head, record)) != head:
            writes.append(Update(document.path, cleared.packed(), document.version))
    return writes


def _missing() -> NotFound:
    return NotFound("No such message.", code="message_not_found")
