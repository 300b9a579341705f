"""Everything remembered of one person as JSON lines: settings, sessions with the messages of every
branch, then entities: the log of commits, and each with its versions.

Tails are read before segments and these before the archive, the way messages move, so that one that
moves meanwhile is never missed; it may be told twice, under the same id.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from gateway.documents.base import Documents
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record, owner_path
from gateway.memory.storage import read_segment, segment_path
from gateway.portability.ledger import ledger_lines
from gateway.portability.pages import pages

SCHEMA = 1
PAGE = 16  # heads held at once: one may take 200 KiB

SESSION_FIELDS = ("title", "created_at", "updated_at", "messages", "turns", "tokens")
MESSAGE_FIELDS = (
    "role",
    "content",
    "at",
    "sequence",
    "parent",
    "state",
    "tokens",
    "interrupted",
    "pin",
    "expires_at",
    "metadata",
    "extras",
    "receipt",
    "hash",
)

Line = dict[str, Any]


class Export:
    """`settings` are those of the service that decide what is kept and for how long."""

    def __init__(self, documents: Documents, settings: Mapping[str, Any]) -> None:
        self._documents = documents
        self._settings = settings

    async def lines(self, owner: str) -> AsyncIterator[Line]:
        """The last line, of type `end`, says that the export is whole.

        Raises `Contested` while the memory is being erased.
        """
        root = owner_path(owner)
        state = await self._owner(root)
        yield {
            "type": "export",
            "schema": SCHEMA,
            "owner_hash": root.rpartition("/")[2],
            "sessions": state.sessions,
        }
        yield {"type": "settings", **self._settings, "legal_hold": state.hold}
        names: dict[str, str] = {}
        told = versions = 0
        async for line in self._sessions(root, names):
            told += line["type"] == "message"
            yield line
        async for line in self._older(root, names):
            told += 1
            yield line
        async for line in ledger_lines(self._documents, root):
            versions += line["type"] == "version"
            yield line
        yield {"type": "end", "messages": told, "versions": versions}

    async def _sessions(self, root: str, names: dict[str, str]) -> AsyncIterator[Line]:
        """Each session with its recent messages; `names` learns the client's names of them."""
        async for document in pages(self._documents, f"{root}/sessions", PAGE):
            head = Head.of(document, "")
            names[head.key] = head.session
            yield _session(head)
            for line in _messages(head.tail, names):
                yield line

    async def _older(self, root: str, names: Mapping[str, str]) -> AsyncIterator[Line]:
        for segment in (await self._owner(root)).segments:
            if segment.count:
                found = await self._documents.get(segment_path(root, segment.number))
                for line in _messages(read_segment(found[0]), names):
                    yield line
        async for document in pages(self._documents, f"{root}/archive", 1):
            for line in _messages(read_segment(document), names):
                yield {**line, "archived": True}

    async def _owner(self, root: str) -> Owner:
        return Owner.of((await self._documents.get(root))[0]).readable()


def _session(head: Head) -> Line:
    told = {name: getattr(head, name) for name in SESSION_FIELDS}
    return {"type": "session", "id": head.session, **told}


def _messages(records: Iterable[Record], names: Mapping[str, str]) -> Iterable[Line]:
    """In the order of their sequence; a session that was deleted has no name left."""
    for record in sorted(records, key=lambda one: one.sequence):
        told = {name: getattr(record, name) for name in MESSAGE_FIELDS}
        session = names.get(record.session)
        yield {"type": "message", "id": record.id, "session_id": session, **told}
