"""A body cut into what can be read by itself, as it comes: lines, or the values of a JSON array.

Bounded in memory: of a frame above the bound only its place is kept. Pure.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Protocol

OPENING, CLOSING = b"{[", b"}]"
STRUCTURE = re.compile(rb'["{}\[\]]')
IN_STRING = re.compile(rb'["\\]')
BETWEEN = re.compile(rb"[^\s,]")


@dataclass(frozen=True, slots=True)
class Frame:
    """`data` None: longer than the bound. `broken`: nothing behind it can be read."""

    line: int
    data: bytes | None
    broken: bool = False


class Framing(Protocol):
    def feed(self, piece: bytes) -> Iterator[Frame]: ...

    def finish(self) -> Iterator[Frame]: ...


async def framed(framing: Framing, pieces: AsyncIterable[bytes]) -> AsyncIterator[Frame]:
    async for piece in pieces:
        for frame in framing.feed(piece):
            yield frame
    for frame in framing.finish():
        yield frame


class Lines:
    """Without their line feeds. Empty lines count and come."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._line = 1

    def feed(self, piece: bytes) -> Iterator[Frame]:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._hold(part)
            yield self._frame()
        self._hold(rest)

    def finish(self) -> Iterator[Frame]:
        if self._size:
            yield self._frame()

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max_bytes:
            self._held.clear()
        elif part:
            self._held.append(part)

    def _frame(self) -> Frame:
        data = b"".join(self._held) if self._size <= self._max_bytes else None
        frame = Frame(self._line, data)
        self._held, self._size, self._line = [], 0, self._line + 1
        return frame


class Elements:
    """The objects and arrays of one array, or one after another without any; by their first line.

    What is neither white space nor comma between them breaks the rest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._line = self._began = 1
        self._in_array: bool | None = None
        self._closed = False
        self._broken = False

    def feed(self, piece: bytes) -> Iterator[Frame]:
        place = 0
        while place < len(piece) and not self._broken:
            if self._depth:
                end = self._inside(piece, place)
                self._hold(piece[place:end])
                if not self._depth:
                    yield self._frame()
            else:
                end = self._between(piece, place)
            self._line += piece.count(b"\n", place, end)
            place = end
            if self._broken:
                yield Frame(self._line, b"", broken=True)

    def finish(self) -> Iterator[Frame]:
        unclosed = self._in_array and not self._closed
        if not self._broken and (self._depth or unclosed):
            yield Frame(self._began if self._depth else self._line, b"", broken=True)

    def _between(self, piece: bytes, place: int) -> int:
        """To the next value's first byte, which is left for `_inside`."""
        found = BETWEEN.search(piece, place)
        if found is None:
            return len(piece)
        byte, at = found.group(), found.start()
        if self._in_array is None:
            self._in_array = byte == b"["
            if self._in_array:
                return at + 1
        if byte == b"]" and self._in_array and not self._closed:
            self._closed = True
            return at + 1
        if byte not in (b"{", b"[") or self._closed:
            self._broken = True
            return at + 1
        self._began = self._line + piece.count(b"\n", place, at)
        self._depth = 1
        self._hold(byte)
        return at + 1

    def _inside(self, piece: bytes, place: int) -> int:
        """To behind the value's last byte, or to the end of the piece."""
        if self._escaped:
            self._escaped, place = False, place + 1
        while True:
            found = (IN_STRING if self._in_string else STRUCTURE).search(piece, place)
            if found is None:
                return len(piece)
            byte, place = found.group(), found.end()
            if byte == b"\\":
                self._escaped = place == len(piece)
                place += 1
            elif byte == b'"':
                self._in_string = not self._in_string
            elif byte in OPENING:
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    return place

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max_bytes:
            self._held.clear()
        else:
            self._held.append(part)

    def _frame(self) -> Frame:
        data = b"".join(self._held) if self._size <= self._max_bytes else None
        self._held, self._size = [], 0
        return Frame(self._began, data)
