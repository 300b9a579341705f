"""What `git fast-export` writes, read as it comes: the commits with the texts of their files.

The format is git's own (`git help fast-import`), and needs no git here. Nothing of who wrote a
commit is read but when. Texts are held compressed until the end, for a later commit may have one
again; the bounds are told in the refusal.
"""

import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from gateway.portability.items import Malformed
from gateway.portability.notes import is_note

LINE_BYTES = 64 * 1024
FILE_BYTES = 256 * 1024
HELD_BYTES = 32 * 1024 * 1024
READ_BYTES = 256 * 1024 * 1024  # of texts, each as often as a commit has it
MAX_TEXTS = 200_000
MAX_CHANGES = 10_000
FARTHEST = 2e11  # seconds, as dates go
BEGINNINGS = (b"blob\n", b"reset refs/", b"commit refs/", b"feature done\n")
PERSON = re.compile(rb".*> (-?[0-9]{1,12}) [+-][0-9]{4}")
SIZE = re.compile(rb"data ([0-9]{1,12})")
ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
ESCAPED = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
}
IGNORED = (b"feature ", b"option ", b"progress ", b"checkpoint", b"from ", b"#")


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it is after the commit; `text` None: longer than `FILE_BYTES`. Of what is no note
    it is left out."""

    path: str
    text: bytes | None


@dataclass(frozen=True, slots=True)
class Deleted:
    path: str


@dataclass(frozen=True, slots=True)
class Renamed:
    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """All files are gone."""


FileChange = Written | Deleted | Renamed | Cleared


@dataclass(frozen=True, slots=True)
class Revision:
    """`written_at` is the author's time, `committed_at` the committer's (epoch seconds)."""

    written_at: float
    committed_at: float
    changes: tuple[FileChange, ...]


class Stream:
    """Lines and counted bytes of a body in pieces."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = aiter(pieces)
        self._held = bytearray()
        self._again: bytes | None = None

    async def line(self) -> bytes | None:
        """Without its line feed; None at the end."""
        if self._again is not None:
            line, self._again = self._again, None
            return line
        while (end := self._held.find(b"\n")) < 0 and len(self._held) <= LINE_BYTES:
            if not await self._more():
                break
        if end > LINE_BYTES or (end < 0 and len(self._held) > LINE_BYTES):
            raise Malformed("A line of the stream is too long.")
        if end < 0 and not self._held:
            return None
        end = len(self._held) if end < 0 else end
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line

    def put_back(self, line: bytes) -> None:
        self._again = line

    async def take(self, size: int, most: int) -> bytes | None:
        """The next `size` bytes; None, and past them, where these are more than `most`."""
        kept = bytearray()
        while size:
            if not self._held and not await self._more():
                raise Malformed("The stream is cut short.")
            part = self._held[:size]
            del self._held[: len(part)]
            size -= len(part)
            if len(kept) + len(part) <= most:
                kept += part
            else:
                most = -1
        return bytes(kept) if most >= 0 else None

    async def _more(self) -> bool:
        piece = await anext(self._pieces, None)
        self._held += piece or b""
        return piece is not None


class FastExport:
    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._stream = Stream(pieces)
        self._texts: dict[bytes, bytes | None] = {}
        self._held = self._read = 0

    async def revisions(self) -> AsyncIterator[Revision]:
        """In the order of the stream, parents first. Raises `Malformed`."""
        while (line := await self._stream.line()) is not None:
            if line == b"blob":
                await self._blob()
            elif line.startswith(b"commit "):
                yield await self._commit()
            elif line.startswith(b"tag "):
                await self._message()
            elif line == b"done":
                return
            elif line and not line.startswith((b"reset ", *IGNORED)):
                raise Malformed("This is no stream of `git fast-export`.")

    async def _blob(self) -> None:
        mark = b""
        while (line := await self._expected()) and not line.startswith(b"data "):
            if line.startswith(b"mark "):
                mark = line.removeprefix(b"mark ")
        text = await self._data(line, FILE_BYTES)
        packed = None if text is None else zlib.compress(text)
        self._held += len(packed or b"")
        if self._held > HELD_BYTES or len(self._texts) >= MAX_TEXTS:
            raise Malformed(f"The files take more than {HELD_BYTES >> 20} MiB, even compressed.")
        self._texts[mark] = packed

    async def _commit(self) -> Revision:
        times = {b"author": 0.0, b"committer": 0.0}
        while not (line := await self._expected()).startswith(b"data "):
            name = line.partition(b" ")[0]
            if name in times:
                times[name] = _time(line)
            elif name == b"gpgsig":
                await self._data(await self._expected(), 0)
        await self._data(line, 0)
        changes = []
        async for change in self._changes():
            changes.append(change)
            if len(changes) > MAX_CHANGES:
                raise Malformed(f"A commit changes more than {MAX_CHANGES} files.")
        committed = times[b"committer"]
        return Revision(times[b"author"] or committed, committed, tuple(changes))

    async def _changes(self) -> AsyncIterator[FileChange]:
        """To the first line that is none, which is left."""
        while (line := await self._stream.line()) is not None:
            command, _, rest = line.partition(b" ")
            if command == b"M":
                yield await self._written(rest)
            elif command == b"D":
                yield Deleted(_path(rest))
            elif command in (b"R", b"C"):
                source, to = _paths(rest)
                if command == b"R":
                    yield Renamed(source, to)
            elif command == b"deleteall":
                yield Cleared()
            elif line and command not in (b"from", b"merge", b"N"):
                self._stream.put_back(line)
                return

    async def _written(self, rest: bytes) -> Written:
        _, _, named = rest.partition(b" ")
        source, _, path = named.partition(b" ")
        if source == b"inline":
            return Written(_path(path), await self._data(await self._expected(), FILE_BYTES))
        return Written(_path(path), self._text(source, _path(path)))

    def _text(self, source: bytes, path: str) -> bytes | None:
        if not is_note(path):
            return b""
        if source not in self._texts:
            raise Malformed("Of a file the stream has no text: export it with its data.")
        if (packed := self._texts[source]) is None:
            return None
        text = zlib.decompress(packed)
        self._read += len(text)
        if self._read > READ_BYTES:
            raise Malformed(f"The commits take more than {READ_BYTES >> 20} MiB.")
        return text

    async def _message(self) -> None:
        while not (line := await self._expected()).startswith(b"data "):
            pass
        await self._data(line, 0)

    async def _data(self, line: bytes, most: int) -> bytes | None:
        if not (size := SIZE.fullmatch(line)):
            raise Malformed("This is no stream of `git fast-export`.")
        return await self._stream.take(int(size[1]), most)

    async def _expected(self) -> bytes:
        if (line := await self._stream.line()) is None:
            raise Malformed("The stream is cut short.")
        return line


def _time(line: bytes) -> float:
    found = PERSON.fullmatch(line)
    if not found or abs(float(found[1])) > FARTHEST:
        raise Malformed("A commit has no readable date.")
    return float(found[1])


def _paths(rest: bytes) -> tuple[str, str]:
    """The first one is quoted where it has a space."""
    if rest.startswith(b'"'):
        end = re.search(rb'(?<!\\)(?:\\\\)*"', rest[1:])
        cut = 1 + end.end() if end else len(rest)
        return _path(rest[:cut]), _path(rest[cut:].lstrip(b" "))
    source, _, to = rest.partition(b" ")
    return _path(source), _path(to)


def _path(written: bytes) -> str:
    if written.startswith(b'"') and written.endswith(b'"') and len(written) > 1:
        written = ESCAPE.sub(_unescaped, written[1:-1])
    return written.decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    part = found[1]
    return bytes([int(part, 8) & 255]) if len(part) == 3 else ESCAPED.get(part, part)
