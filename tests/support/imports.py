"""Imports without HTTP: bytes in pieces, a report out."""

from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any

import orjson

from gateway.documents.base import Documents
from gateway.documents.patience import Patience
from gateway.entities.restoration import EntityRestoration
from gateway.memory.restoration import Restoration
from gateway.portability import markdown
from gateway.portability.erasure import Erasure
from gateway.portability.export import Export, Line
from gateway.portability.formats import Body, format_of, items_of
from gateway.portability.importing import Import
from gateway.portability.items import Item
from gateway.portability.report import Report
from gateway.retrieval.lexical import LexicalRanker
from support.memories import ALICE, NOON

ARCHIVE_SECONDS = 90 * 86_400.0


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def count(_role: str, content: str, _extras: Mapping[str, Any]) -> int:
    return len(content.split())


async def imported(
    documents: Documents,
    data: bytes,
    *,
    owner: str = ALICE,
    format: str | None = None,
    content_type: str = "",
    piece: int = 64 * 1024,
    now: float = NOON,
) -> Report:
    def clock() -> float:
        return now

    body = Body(in_pieces(data, piece))
    opening = await body.opening()
    items = items_of(format_of(format, content_type, opening), opening, body)
    restoration = Restoration(documents, clock, Random(1), owner, ARCHIVE_SECONDS)
    entities = EntityRestoration(documents, clock, Patience(Random(2)), owner)
    return await Import(owner, restoration, entities, count, clock).take(items)


async def items(data: bytes, *, format: str | None = None, piece: int = 64 * 1024) -> list[Item]:
    body = Body(in_pieces(data, piece))
    opening = await body.opening()
    found = items_of(format_of(format, "", opening), opening, body)
    return [item async for item in found]


async def exported(documents: Documents, owner: str = ALICE) -> list[Line]:
    return [line async for line in Export(documents, {"memory_scope": "user"}).lines(owner)]


async def erased(documents: Documents, owner: str = ALICE) -> None:
    await Erasure(documents, LexicalRanker(), lambda: NOON, backup_days=7).erase(owner)


def as_lines(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def as_markdown(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(map(markdown.written, lines))
