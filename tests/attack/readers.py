"""What `test_patterns.py` runs: every reader of text on every hostile text, each named before."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import get_args

from gateway.chat.asking import in_context, leaning
from gateway.chat.relay import NULL_USAGE
from gateway.consulting.answers import InvalidAnswer, Strict, parsed
from gateway.errors import GatewayError
from gateway.portability.dates import moment
from gateway.portability.fast_export import FILE_BYTES
from gateway.portability.formats import Body, Format, format_of, items_of
from gateway.portability.items import Malformed
from gateway.portability.notes import note_of
from gateway.retention.importance import salience
from gateway.retrieval.terms import terms, words
from gateway.routes.requests import checked_session
from gateway.tokens.rs_bpe import RsBpeTokenizer
from gateway.upstream.sse import EventSplitter

UNITS = {
    "blanks": " ",
    "line feeds": "\n",
    "carriage returns": "\r",
    "both": "\r\n",
    "dots": ".",
    "commas": ", ",
    "one word": "a",
    "words": "a ",
    "digits": "1",
    "quotes": '"',
    "backslashes": "\\",
    "brackets": "[]",
    "open brackets": "[",
    "braces": '{"a":',
    "angles": "<",
    "hashes": "# ",
    "bullets": "- ",
    "fences": "```\n",
    "accents": "\u0301",
    "accented": "e\u0301",
    "unspaced": "\u6c34",
    "apostrophes": "I'",
    "usage": ',"usage" : ',
    "strength": "strength: ",
    "negations": "not ",
}


def hostile(size: int) -> Iterator[tuple[str, str]]:
    for name, unit in UNITS.items():
        text = unit * (size // len(unit))
        yield name, text
        yield f"{name}, then a word", f"{text}x"
        yield f"a fence before {name}", f"```\n{text}x"


def answered(text: str) -> None:
    with contextlib.suppress(InvalidAnswer):
        parsed(text, Strict)


def dated(text: str) -> None:
    for part in (text, text[:64]):
        with contextlib.suppress(Malformed):
            moment(part)


def named(text: str) -> None:
    with contextlib.suppress(GatewayError):
        checked_session(text)


def split(text: str) -> None:
    splitter, body = EventSplitter(), text.encode()
    for at in range(0, len(body), 1_000):
        splitter.feed(body[at : at + 1_000])
    splitter.flush()


def imported(format: Format, before: bytes = b"") -> Callable[[str], None]:
    async def pieces(text: str) -> AsyncIterator[bytes]:
        body = before + text.encode()
        for at in range(0, len(body), 64 * 1024):
            yield body[at : at + 64 * 1024]

    async def read(text: str) -> None:
        body = Body(pieces(text))
        with contextlib.suppress(Malformed, GatewayError):
            async for _ in items_of(format, await body.opening(), body):
                pass

    return lambda text: asyncio.run(read(text))


def opened(text: str) -> None:
    with contextlib.suppress(GatewayError):
        format_of(None, "", text[: 64 * 1024].encode())


READERS: Mapping[str, Callable[[str], object]] = {
    "terms": terms,
    "words": words,
    "leaning": leaning,
    "in context": lambda text: in_context("And what about it?", text, text),
    "salience": salience,
    "an answer": answered,
    "a note": lambda text: note_of("people/x.md", text[:FILE_BYTES]),
    "a note's heading": lambda text: note_of("people/x.md", f"# {text[:FILE_BYTES]}"),
    "a date": dated,
    "a session": named,
    "events": split,
    "a usage": lambda text: NULL_USAGE.subn(b"", text.encode()),
    "an opening": opened,
    "tokens": RsBpeTokenizer().count,
    **{f"an import, {one}": imported(one) for one in get_args(Format)},
    "a string of an import": imported("json", b'[{"content": "'),
    "a commit": imported("git", b"commit refs/heads/x\nauthor "),
    "a quoted path": imported("git", b'commit refs/heads/x\ncommitter a <b> 1 +0000\nR "'),
}


def main() -> None:
    for kind, text in hostile(int(sys.argv[1])):
        for name, reader in READERS.items():
            print(f"{name}: {kind}", flush=True)
            reader(text)
    print("whole")


if __name__ == "__main__":
    main()
