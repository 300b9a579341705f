"""Receipts: for one answer, every injected message and what the prompt cost. Kept with the turn.

A receipt stands on the first message that its turn stored, so that a person of two thousand turns
has no two thousand receipt documents to pay for and to erase. Its id carries the turn's
millisecond, as those of the turn's messages do, which leads back to the segment. When that message
goes, the turn's next one carries the receipt on; when all of them are archived, so is it. It keeps
a digest of each line, never its text; read back, it says what has become of each since.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.documents.base import Documents
from gateway.errors import NotFound
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record, made_at_milliseconds, owner_path, text_digest
from gateway.memory.storage import read_segment, segment_path
from gateway.memory.whereabouts import Whereabouts, archives, located, opened

PREFIX = "r"

Line = Mapping[str, Any]


class Receipts:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def find(self, owner: str, id: str) -> Mapping[str, Any]:
        """The receipt with this id, or `NotFound`: also for someone else's.

        Each of its lines tells whether its message was `deleted`, is `archived` or was `changed`
        since: None where that is not known.
        """
        if not id.startswith(PREFIX) or made_at_milliseconds(id) is None:
            raise _missing()
        root = owner_path(owner)
        state, heads = await opened(self._documents, root)
        receipt = await self._receipt(root, state, heads, id)
        lines: Sequence[Line] = receipt.get("lines", ())
        found = await located(
            self._documents, root, state, heads, list(dict.fromkeys(one["id"] for one in lines))
        )
        told = [{**_kept(line), **_since(line, found)} for line in lines]
        return {"object": "memory.receipt", **receipt, "lines": told}

    async def _receipt(
        self, root: str, state: Owner, heads: Iterable[Head], id: str
    ) -> Mapping[str, Any]:
        for head in heads:
            if (receipt := _of(head.tail, id)) is not None:
                return receipt
        paths = [segment_path(root, one.number) for one in state.segments if one.may_hold(id)]
        for document in await self._documents.get(*paths) if paths else []:
            if (receipt := _of(read_segment(document), id)) is not None:
                return receipt
        async for records in archives(self._documents, root):
            if (receipt := _of(records, id)) is not None:
                return receipt
        raise _missing()


def _of(records: Iterable[Record], id: str) -> Mapping[str, Any] | None:
    carried = (record.receipt for record in records)
    return next((receipt for receipt in carried if receipt and receipt["id"] == id), None)


def _kept(line: Line) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "digest"}


def _since(line: Line, found: Whereabouts) -> dict[str, bool | None]:
    id = line["id"]
    if (record := found.records.get(id)) is None:
        gone = True if found.complete else None
        return {"deleted": gone, "archived": False if gone else None, "changed": None}
    digest = line.get("digest")
    changed = None if digest is None else digest != text_digest(id, record.content)
    return {"deleted": False, "archived": id in found.archived, "changed": changed}


def _missing() -> NotFound:
    return NotFound(
        "No such receipt; one goes with the last message of its turn.", code="receipt_not_found"
    )
