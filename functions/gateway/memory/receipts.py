"""Receipts: for one answer, every injected message and what the prompt cost. Kept with the turn.

A receipt stands on the first message that its turn stored, so that a person of two thousand turns
has no two thousand receipt documents to pay for and to erase. Its id carries the turn's
millisecond, as those of the turn's messages do, which leads back to the segment.
"""

from collections.abc import Mapping
from typing import Any

from gateway.documents.base import Document, Documents
from gateway.errors import NotFound
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record, made_at_milliseconds, owner_path
from gateway.memory.storage import read_segment, segment_path

PREFIX = "r"


class Receipts:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def find(self, owner: str, id: str) -> Mapping[str, Any]:
        """The receipt with this id, or `NotFound`: also for someone else's."""
        if not id.startswith(PREFIX) or made_at_milliseconds(id) is None:
            raise _missing()
        root = owner_path(owner)
        state = Owner.of((await self._documents.get(root))[0]).readable()
        heads = [f"{root}/sessions/{key}" for key in state.open]
        segments = [segment_path(root, one.number) for one in state.segments if one.may_hold(id)]
        if not heads and not segments:
            raise _missing()
        for document in await self._documents.get(*heads, *segments):
            for record in _records(document):
                if record.receipt and record.receipt["id"] == id:
                    return {"object": "memory.receipt", **record.receipt}
        raise _missing()


def _records(document: Document | None) -> list[Record]:
    if document is None:
        return []
    if "state" in document.fields:
        return list(Head.of(document, "").tail)
    return read_segment(document)


def _missing() -> NotFound:
    return NotFound("No such receipt.", code="receipt_not_found")
