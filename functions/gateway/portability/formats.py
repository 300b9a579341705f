"""Which format a body is in, and its pieces as items of that format.

The format is what `?format=` says, else what the content type says, else what the content looks
like. Objects are told apart by their shape, so that lines of an export, dialogues and conversations
may come as an array, one a line, or alone.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any, Literal, cast, get_args

import orjson

from gateway.errors import BadRequest
from gateway.portability import conversations, dialogues, lines, markdown
from gateway.portability.fast_export import BEGINNINGS, FastExport
from gateway.portability.framing import Elements, Frame, Framing, Lines, framed
from gateway.portability.items import Item, Malformed, Refused, check_nesting
from gateway.portability.repository import Repository

Format = Literal["jsonl", "json", "markdown", "openai", "locomo", "git"]

LOOKED_AT = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_BYTES = 4 * 1024 * 1024  # a message takes half a megabyte; its receipt and escapes beside it
ELEMENT_BYTES = 32 * 1024 * 1024  # of a conversation, or a dialogue, that comes as one value
MEDIA_TYPES: dict[str, Format] = {
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/jsonlines": "jsonl",
    "text/markdown": "markdown",
}


class Body:
    """The pieces of a body, of which the first ones may be looked at before."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = aiter(pieces)
        self._held = b""

    async def opening(self) -> bytes:
        """Up to the first line's end, or `LOOKED_AT` bytes, without a byte order mark."""
        async for piece in self._pieces:
            self._held += piece
            if b"\n" in self._held.lstrip() or len(self._held) >= LOOKED_AT:
                break
        self._held = self._held.removeprefix(BYTE_ORDER_MARK)
        return self._held

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._held
        async for piece in self._pieces:
            yield piece


def format_of(given: str | None, content_type: str, opening: bytes) -> Format:
    """Raises `BadRequest`."""
    if given is not None:
        if given not in get_args(Format):
            raise BadRequest(f"'format' is one of {', '.join(get_args(Format))}.", param="format")
        return cast("Format", given)
    if not opening.strip():
        raise BadRequest("The request body is empty; what shall be imported is expected.")
    media_type = content_type.partition(";")[0].strip().lower()
    return MEDIA_TYPES.get(media_type) or _looks(opening)


def _looks(opening: bytes) -> Format:
    text = opening.lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "jsonl" if _is_object(text.partition(b"\n")[0]) else "json"
    if text.startswith(BEGINNINGS):
        return "git"
    if markdown.OPENING in opening or text.startswith(b"#"):
        return "markdown"
    raise BadRequest(
        "The body is in no format that is known here: JSON Lines or Markdown as exported, dialogues"
        " as JSON, OpenAI's conversations.json, or what `git fast-export` writes.",
        code="unknown_format",
    )


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


async def items_of(format: Format, opening: bytes, body: Body) -> AsyncIterator[Item]:
    if format == "markdown":
        async for item in _markdown(body):
            yield item
        return
    if format == "git":
        async for item in _repository(body):
            yield item
        return
    by_line = format == "jsonl" or (format != "json" and _looks_like_lines(opening))
    framing: Framing = Lines(LINE_BYTES) if by_line else Elements(ELEMENT_BYTES)
    async for frame in framed(framing, body):
        for item in _objects(frame, format):
            yield item


def _looks_like_lines(opening: bytes) -> bool:
    text = opening.lstrip()
    return text.startswith(b"{") and _is_object(text.partition(b"\n")[0])


async def _markdown(body: Body) -> AsyncIterator[Item]:
    reader, some, last = markdown.Reader(LINE_BYTES), False, 1
    async for frame in framed(Lines(LINE_BYTES), body):
        last = frame.line
        for line, fields in reader.feed(frame):
            some = True
            yield _told(fields, line)
    for line, fields in reader.finish():
        some = True
        yield _told(fields, line)
    if not some:
        yield Refused(last, "This is no Markdown that was exported here.", "unknown_format")


async def _repository(body: Body) -> AsyncIterator[Item]:
    """What cannot be read ends it: what came before is taken. Revisions are counted as lines."""
    repository, revisions = Repository(), 0
    try:
        async for revision in FastExport(body).revisions():
            revisions += 1
            for item in repository.items(revision):
                yield item
    except Malformed as error:
        yield Refused(revisions + 1, str(error))


def _told(fields: Any, line: int) -> Item:
    if isinstance(fields, str):
        return Refused(line, fields)
    try:
        return lines.item_of(fields, line)
    except Malformed as error:
        return Refused(line, str(error))


def _objects(frame: Frame, format: Format) -> Iterator[Item]:
    """What a frame holds; what is refused in the middle of it leaves what came before."""
    try:
        if (fields := _parsed(frame)) is not None:
            yield from _dispatched(fields, frame.line, format)
    except Malformed as error:
        yield Refused(frame.line, str(error))


def _parsed(frame: Frame) -> dict[str, Any] | None:
    if frame.broken:
        raise Malformed("This is not valid JSON, and what follows cannot be read.")
    if frame.data is None:
        raise Malformed("It is too long.")
    if not frame.data.strip():
        return None
    try:
        fields = orjson.loads(frame.data)
    except orjson.JSONDecodeError:
        raise Malformed("This is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise Malformed("This is no JSON object.")
    return fields


def _dispatched(fields: dict[str, Any], line: int, format: Format) -> Iterator[Item]:
    if conversations.is_conversation(fields):
        found = conversations.items_of(fields, line)
        kind: Format = "openai"
    elif not lines.is_ours(fields) and dialogues.is_dialogue(fields):
        found, kind = dialogues.items_of(fields, line), "locomo"
    else:
        check_nesting(fields)
        found, kind = iter([lines.item_of(fields, line)]), "jsonl"
    if format in {"openai", "locomo"} and kind != format:
        raise Malformed(f"This is not of the format '{format}'.")
    yield from found
