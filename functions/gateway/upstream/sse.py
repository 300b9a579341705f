"""Server-sent events, split without changing a byte and without knowing what they say.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream: a line ends
with CRLF, LF or CR, an empty line ends an event, and a byte order mark may open the stream.
"""

import re
from dataclasses import dataclass

from gateway.errors import UpstreamFailed

MEBIBYTE = 1024 * 1024
BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\r|\n")

# A line end, then another. The possessive `?+` never gives back the LF of a CRLF, which would read
# as two line ends; the leading character class makes the search twice as fast as an alternation.
BLANK_LINE = re.compile(rb"[\r\n](?:(?<=\r)\n)?+(?:\r\n|\r|\n)")
LONGEST_BLANK_LINE = 4


@dataclass(frozen=True, slots=True)
class Event:
    """`raw` is every byte up to and with the empty line that ends the event.

    `data` is its data lines joined by LF, None when it has none (a comment, a `retry:`).
    """

    raw: bytes
    data: bytes | None


class EventSplitter:
    """Cuts a stream into events; the same events however the stream was cut into chunks.

    The `raw` of all events and of what `flush` returns add up to what was fed. Each byte is
    searched once, whatever the chunks.
    """

    def __init__(self, max_event_bytes: int = 16 * MEBIBYTE) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._at_start_of_stream = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises `UpstreamFailed` when one is past the bound.

        An event that ends with a CR at the end of the chunk waits: an LF may belong to it.
        """
        self._buffer += chunk
        events: list[Event] = []
        begin = 0
        while (end := self._end_of_event(begin)) is not None:
            events.append(self._event(bytes(self._buffer[begin:end])))
            begin = self._searched = end
        del self._buffer[:begin]
        self._searched = max(0, len(self._buffer) - LONGEST_BLANK_LINE + 1)
        self._check_size(len(self._buffer))
        return events

    def flush(self) -> Event | None:
        """What is left at the end of the stream: an event without its empty line, as a rule.

        A browser would drop it. Its `data` may be half of what was meant.
        """
        if not self._buffer:
            return None
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return self._event(rest)

    def _end_of_event(self, begin: int) -> int | None:
        buffer = self._buffer
        text = begin
        if self._at_start_of_stream and buffer.startswith(BOM):
            text += len(BOM)
        found = LINE_END.match(buffer, text) or BLANK_LINE.search(buffer, max(text, self._searched))
        if found is None or (found.end() == len(buffer) and buffer[-1:] == b"\r"):
            return None
        return found.end()

    def _event(self, raw: bytes) -> Event:
        self._check_size(len(raw))
        text = raw.removeprefix(BOM) if self._at_start_of_stream else raw
        self._at_start_of_stream = False
        return Event(raw, _data(text))

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            raise UpstreamFailed(
                f"The upstream sent a stream event of more than {self._max_event_bytes} bytes."
            )


def encode(data: bytes) -> bytes:
    """One event that carries `data`, a data line for each of its lines."""
    return b"".join(b"data: %b\n" % line for line in LINE_END.split(data)) + b"\n"


def _data(text: bytes) -> bytes | None:
    values = [_value(line) for line in text.splitlines() if _is_data(line)]
    return b"\n".join(values) if values else None


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:") or line == b"data"


def _value(line: bytes) -> bytes:
    return line[len(b"data:") :].removeprefix(b" ")
