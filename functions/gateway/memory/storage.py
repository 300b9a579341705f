"""How the memory's documents are named, written and read. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.documents.base import Create, Document, Set, Update, Write
from gateway.memory import upgrades
from gateway.memory.records import Record
from gateway.memory.segments import Filled
from gateway.memory.upgrades import SCHEMA

DAY_SECONDS = 86_400.0


def segment_path(root: str, number: int) -> str:
    """`root` is the owner's path."""
    return f"{root}/segments/{number:08d}"


def read_segment(document: Document | None) -> list[Record]:
    if document is None:
        return []
    fields = upgrades.current(document, "segment")
    return [Record.unpacked(record) for record in orjson.loads(fields["records"])]


def segment_write(root: str, filled: Filled) -> Write:
    fields = {
        "schema": SCHEMA,
        "version": filled.segment.version,
        "records": _text(filled.records),
    }
    return Set(segment_path(root, filled.segment.number), fields)


def archive_path(root: str, expires_at: float, name: str) -> str:
    """`root` is the owner's path. Ids begin with the day of expiry, so the due ones come first."""
    return f"{root}/archive/{day_of_expiry(expires_at)}-{name}"


def day_of_expiry(at: float) -> str:
    return f"{int(at // DAY_SECONDS):06d}"


def archive_fields(records: Sequence[Record], now: float) -> dict[str, Any]:
    """Shaped as a segment, so that it is read back as one."""
    return {"schema": SCHEMA, "archived_at": now, "records": _text(records)}


def _text(records: Sequence[Record]) -> str:
    return (b"[" + b",".join(record.stored() for record in records) + b"]").decode()


def saved(path: str, fields: Mapping[str, Any], version: str | None) -> Write:
    return Create(path, fields) if version is None else Update(path, fields, version)
