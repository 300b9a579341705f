"""An export as Markdown that reads well and is read back: both directions of one grammar. Pure.

Every message is a heading, a comment with its fields as JSON, and its text as a block quote. Text
cannot forge a comment: each line of it begins with `>`, and JSON in a comment has no angle bracket.
Lines that are neither are a reader's own and mean nothing.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.portability.framing import Frame

OPENING = b"<!-- memory-ops:"
CLOSING = b"-->"
TEXTLESS = frozenset({"type", "content"})

Line = Mapping[str, Any]


def written(line: Line) -> bytes:
    """A line of the export as Markdown."""
    kind = str(line["type"])
    apart = TEXTLESS if kind == "message" else {"type"}
    fields = {name: value for name, value in line.items() if name not in apart}
    comment = OPENING + kind.encode() + b" " + _harmless(fields) + b" " + CLOSING + b"\n"
    text = "".join(f"> {part}\n" for part in line["content"].split("\n")) if _says(line) else ""
    text += "".join(f"- {_plain(one)}\n" for one in _statements(line))
    return _heading(line).encode() + comment + (b"\n" + text.encode() if text else b"") + b"\n"


def _statements(line: Line) -> list[str]:
    """What a version says that has no end yet: for the reader, the comment holds it all."""
    told = line["content"]["statements"] if line["type"] == "version" else ()
    return [one["text"] for one in told if one.get("valid_to") is None]


def _says(line: Line) -> bool:
    return bool(line["type"] == "message" and line["content"])


def _heading(line: Line) -> str:
    if line["type"] == "export":
        return "# Memory\n\n"
    if line["type"] == "session":
        return f"## {_plain(line['title'] or line['id'])}\n\n"
    if line["type"] == "message":
        where = f" · {_plain(line['session_id'])}" if line["session_id"] else ""
        archived = " · archived" if line.get("archived") else ""
        return f"### {line['role']} · {_date(line['at'])}{where}{archived}\n\n"
    if line["type"] == "entity":
        return f"## {_plain(line['name'])} · {line['kind']}\n\n"
    if line["type"] == "version":
        return f"### Version {line['number']} · {_date(line['recorded_at'])}\n\n"
    return ""


def _plain(text: str) -> str:
    """Without what would be markup in a heading."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>#&!|" else one for one in " ".join(text.split()))


def _date(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")
    except (OverflowError, ValueError):
        return str(at)


def _harmless(fields: Line) -> bytes:
    return orjson.dumps(fields).replace(b"<", b"\\u003c").replace(b">", b"\\u003e")


class Unreadable(ValueError):
    """A comment of ours that does not hold what it should."""


class Reader:
    """Puts lines of Markdown together to lines of an export, with the number of their comment."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._open: tuple[int, dict[str, Any]] | None = None
        self._quoted: list[bytes] = []
        self._size = 0
        self._carriage_returns = False

    def feed(self, frame: Frame) -> Iterator[tuple[int, Line | str]]:
        """A line, or in its place what is wrong with it."""
        data = frame.data
        if data is None:
            self._size = self._max_bytes + 1
        elif data.startswith(OPENING):
            yield from self.finish()
            self._carriage_returns = data.endswith(b"\r")
            yield from self._begin(frame.line, data.removesuffix(b"\r"))
        elif self._open and data.startswith(b">"):
            self._quote(data)

    def finish(self) -> Iterator[tuple[int, Line | str]]:
        if self._open is None:
            return
        (line, fields), self._open = self._open, None
        quoted, size = b"\n".join(self._quoted), self._size
        self._quoted, self._size = [], 0
        if size > self._max_bytes:
            yield line, "It is too long."
            return
        try:
            yield line, {**fields, "content": quoted.decode()}
        except UnicodeDecodeError:
            yield line, "It is not UTF-8."

    def _begin(self, line: int, data: bytes) -> Iterator[tuple[int, Line | str]]:
        try:
            fields = _comment(data)
        except (Unreadable, orjson.JSONDecodeError):
            yield line, "The comment does not hold what was exported."
            return
        if fields["type"] == "message":
            self._open = line, fields
        else:
            yield line, fields

    def _quote(self, data: bytes) -> None:
        """An editor may have taken spaces at the end of a line away, or put carriage returns in."""
        text = data.removesuffix(b"\r") if self._carriage_returns else data
        self._size += len(text)
        if self._size <= self._max_bytes:
            self._quoted.append(text[2:] if text.startswith(b"> ") else text[1:])


def _comment(data: bytes) -> dict[str, Any]:
    body = data.removeprefix(OPENING).rstrip()
    kind, _, rest = body.removesuffix(CLOSING).partition(b" ")
    fields = orjson.loads(rest)
    name = kind.decode("ascii", "replace")
    if not body.endswith(CLOSING) or not isinstance(fields, dict) or not name.isidentifier():
        raise Unreadable
    return {**fields, "type": name}
