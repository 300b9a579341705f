"""Load for the benchmarks: keep-alive connections that cost little, and an upstream that waits for
nothing.

Run as a program, this file is that upstream, in a process of its own: it shares no interpreter lock
with who measures, and it ends with who started it.
"""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import httptools
import orjson
import uvloop

BLOCK_SECONDS = 60.0
STREAM_CHUNKS = 50
WORDS = [f" word{i}" for i in range(STREAM_CHUNKS)]
WHOLE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer. Both times run from the request's first byte; headers are lower-cased."""

    seconds: float
    first_seconds: float  # to the first byte of the body
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Block:
    samples: Sequence[Sample]
    seconds: float


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._first = 0.0

    async def ask(self, request: bytes) -> Sample:
        """Raises `ConnectionError` when the other side hangs up before its answer is whole."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._headers, self._body = {}, []
        started = time.perf_counter()
        self._transport.write(request)
        await self._answer
        ended = time.perf_counter()
        status = self._parser.get_status_code()
        first = (self._first if self._body else ended) - started
        return Sample(ended - started, first, status, self._headers, b"".join(self._body))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by duck typing

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the connection ended early"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._first = time.perf_counter()
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)


def chat_request(payload: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    body = orjson.dumps(payload)
    named = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in named.items()]
    head = "\r\n".join(["POST /v1/chat/completions HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + body


async def drive(port: int, requests: Sequence[Sequence[bytes]]) -> Block:
    """Each sequence on a connection of its own, one request after another, all at once.

    The connections are open before the clock runs. Raises `TimeoutError` after `BLOCK_SECONDS`.
    """
    loop = asyncio.get_running_loop()
    connections = []
    try:
        async with asyncio.timeout(BLOCK_SECONDS):
            for _ in requests:
                opened = await loop.create_connection(Connection, "127.0.0.1", port)
                connections.append(opened[1])
            started = time.perf_counter()
            pairs = zip(connections, requests, strict=True)
            answered = await asyncio.gather(*(_in_turn(one, asked) for one, asked in pairs))
            seconds = time.perf_counter() - started
    finally:
        for connection in connections:
            connection.close()
    return Block([sample for samples in answered for sample in samples], seconds)


async def drive_for(port: int, requests: Sequence[Sequence[bytes]], seconds: float) -> Block:
    """As `drive`, round and round until the time is over; what was asked by then is waited for.

    Raises `TimeoutError` when that takes `BLOCK_SECONDS` more.
    """
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    samples: list[Sample] = []

    async def go_on(connection: Connection, asked: Sequence[bytes]) -> None:
        for request in itertools.cycle(asked):
            if time.perf_counter() >= ends:
                return
            samples.append(await connection.ask(request))

    try:
        async with asyncio.timeout(seconds + BLOCK_SECONDS):
            for _ in requests:
                opened = await loop.create_connection(Connection, "127.0.0.1", port)
                connections.append(opened[1])
            started = time.perf_counter()
            ends = started + seconds
            pairs = zip(connections, requests, strict=True)
            await asyncio.gather(*(go_on(one, asked) for one, asked in pairs))
            taken = time.perf_counter() - started
    finally:
        for connection in connections:
            connection.close()
    return Block(samples, taken)


async def _in_turn(connection: Connection, requests: Sequence[bytes]) -> list[Sample]:
    return [await connection.ask(request) for request in requests]


def apart() -> tuple[int, int] | None:
    """CPUs for client and upstream, two different ones; None where none can be chosen.

    On one CPU a round trip takes a third of the time it takes on two (24 us to 68 us, measured),
    and left to itself a short block runs on one and a long one on two: ratios to it mean nothing.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = os.sched_getaffinity(0)
    return (min(usable), max(usable)) if len(usable) > 1 else None


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """This thread on the client's CPU; not for longer, for children started meanwhile inherit."""
    if (cpus := apart()) is None:
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpus[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


@contextlib.contextmanager
def canned_upstream() -> Iterator[int]:
    """The port of an upstream that gives everyone the same answer, whole or in 50 chunks."""
    command = [sys.executable, __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:  # leaving closes its stdin
        assert process.stdout is not None
        yield int(process.stdout.readline())


class _Answers:
    """The canned answer in its three forms, made once."""

    def __init__(self) -> None:
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"message": message, "finish_reason": "stop"}
        body = _completion("chat.completion", [choice], usage=USAGE)
        self.whole = WHOLE_HEAD % len(body) + body
        self.events = [
            _event([{"delta": {"content": word}, "finish_reason": None}]) for word in WORDS[:-1]
        ]
        self.events.append(_event([{"delta": {"content": WORDS[-1]}, "finish_reason": "stop"}]))
        self.events_with_usage = [*self.events, _event([], usage=USAGE)]


class _Answering(asyncio.Protocol):
    """The upstream's side of one connection."""

    def __init__(self, answers: "_Answers", tasks: set[asyncio.Task[None]]) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._answers = answers
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by duck typing

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        asked, self._body = b"".join(self._body), []
        if b'"stream":true' not in asked:
            self._transport.write(self._answers.whole)
            return
        with_usage = b'"include_usage":true' in asked
        events = self._answers.events_with_usage if with_usage else self._answers.events
        task = asyncio.ensure_future(_stream(self._transport, events))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _stream(transport: asyncio.Transport, events: Sequence[bytes]) -> None:
    """Each event by itself, as fast as the loop turns: a gateway has to relay every one."""
    transport.write(STREAM_HEAD)
    for event in [*events, b"data: [DONE]\n\n"]:
        transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        await asyncio.sleep(0)
    transport.write(b"0\r\n\r\n")


def _event(choices: Sequence[Mapping[str, object]], **more: object) -> bytes:
    return b"data: " + _completion("chat.completion.chunk", choices, **more) + b"\n\n"


def _completion(kind: str, choices: Sequence[Mapping[str, object]], **more: object) -> bytes:
    head = {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": "canned"}
    indexed = [{"index": index, **choice} for index, choice in enumerate(choices)]
    return orjson.dumps({**head, "choices": indexed, **more})


async def _serve() -> None:
    if cpus := apart():
        os.sched_setaffinity(0, {cpus[1]})
    answers, tasks = _Answers(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(answers, tasks), "127.0.0.1", 0)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the parent closes it, or is gone


if __name__ == "__main__":
    uvloop.run(_serve())
