"""A scripted OpenAI-compatible upstream on loopback, in a thread of its own.

It speaks HTTP/1.1 over a bare socket, so that it can also do what no server framework lets it:
cut a body short, lie about its length, go silent, notice at once that its client has hung up.

    with LoopbackUpstream() as upstream:
        upstream.queue(Answer.error(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "7"}))
        gate = Gate()
        upstream.queue(Answer.stream(b"data: 1\\n\\n", gate, b"data: [DONE]\\n\\n"))
        upstream.default = lambda request: Answer.json({"model": request.json["model"]})
        ...  # point the code under test at upstream.base_url
        assert upstream.requests[0].headers["authorization"] == "Bearer key"
"""

import asyncio
import hashlib
import inspect
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

Json = dict[str, Any]
PATIENCE_SECONDS = 10.0
"""How long a test waits for what must happen before it fails."""


class Signal:
    """An event that any thread may set and any event loop may wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._waiters: list[Future[None]] = []

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        with self._lock:
            self._is_set = True
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wrap_future(self._waiter())

    def wait_blocking(self) -> None:
        self._waiter().result(PATIENCE_SECONDS)

    def _waiter(self) -> Future[None]:
        waiter: Future[None] = Future()
        with self._lock:
            if not self._is_set:
                self._waiters.append(waiter)
                return waiter
        waiter.set_result(None)
        return waiter


class Gate:
    """Where an answer stops until the test opens it; never opened, it hangs there.

    `reached` is set when the upstream stands before it: everything earlier has been written.
    """

    def __init__(self) -> None:
        self.reached = Signal()
        self._opened = Signal()

    def open(self) -> None:
        self._opened.set()

    async def passage(self) -> None:
        self.reached.set()
        await asyncio.wrap_future(self._opened._waiter())


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it arrived; `headers` are lower-cased, `raw_headers` as they were sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw_headers: list[tuple[str, str]]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back. `body` may be in pieces, with gates between them.

    Pieces go out chunked unless the headers give a content-length (true or not; the connection
    is closed after it). `ending`: `cut` closes without the end of the body, `reset` with an RST,
    `close` marks the end of the body by closing, without a length or chunks. `head` replaces status
    line and headers by any bytes at all; empty, the connection is closed without an answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes | Gate] = b""
    ending: Literal["clean", "cut", "reset", "close"] = "clean"
    before: Gate | None = None
    head: bytes | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        named = {"content-type": "application/json", **(headers or {})}
        return cls(status, named, json.dumps(value, ensure_ascii=False).encode())

    @classmethod
    def stream(
        cls,
        *pieces: bytes | Gate,
        ending: Literal["clean", "cut", "reset", "close"] = "clean",
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        named = {"content-type": "text/event-stream; charset=utf-8", **(headers or {})}
        return cls(200, named, pieces, ending)

    @classmethod
    def html(cls, status: int = 502) -> Self:
        return cls(status, {"content-type": "text/html"}, b"<html><h1>Bad Gateway</h1></html>")

    @classmethod
    def error(
        cls, status: int, message: str, code: str, headers: Mapping[str, str] | None = None
    ) -> Self:
        return cls.json(error(message, code), status, headers)

    @classmethod
    def hang_up(cls) -> Self:
        return cls(head=b"")

    @classmethod
    def silence(cls) -> Self:
        """Not even a status line."""
        return cls(before=Gate())


Script = Answer | Callable[[Recorded], Answer | Awaitable[Answer]]
"""An answer, or what makes one of a request (it runs in the upstream's thread)."""


def error(message: str, code: str, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": code, "param": param, "code": code}}


def sse(*values: Any) -> list[bytes]:
    """Each value as one event, as OpenAI writes it; strings go out as they are (`[DONE]`)."""
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return [f"data: {text}\n\n".encode() for text in texts]


def usage(prompt: int = 11, completion: int = 7, cached: int = 0) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def completion(text: str | None, *, n: int = 1, model: str = "m", **message: Any) -> Json:
    """A whole answer; `message` adds fields to it (`tool_calls=[...]`)."""
    said = {"role": "assistant", "content": text, "refusal": None, **message}
    finish_reason = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [
            {"index": index, "message": said, "logprobs": None, "finish_reason": finish_reason}
            for index in range(n)
        ],
        "usage": usage(),
        "system_fingerprint": "fp_1",
    }


def chunks(text: str, *, n: int = 1, model: str = "m", with_usage: bool = False) -> list[Json]:
    """The same answer as a stream: the role, a delta for each word, the finish, the usage."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "system_fingerprint": "fp_1",
    }
    no_usage: Json = {"usage": None} if with_usage else {}
    steps: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None)]
    steps += [({"content": word}, None) for word in _words(text)]
    steps += [({}, "stop")]
    made = [
        {
            **head,
            "choices": [
                {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            ],
            **no_usage,
        }
        for delta, finish in steps
        for index in range(n)
    ]
    return [*made, {**head, "choices": [], "usage": usage()}] if with_usage else made


def echo(request: Recorded) -> Answer:
    """The default: says `echo: <last user text>`, in the form that was asked for."""
    if request.path.endswith("/models"):
        return Answer.json({"object": "list", "data": [_model("m"), _model("org/other")]})
    try:
        asked = request.json
    except ValueError:
        return Answer.error(400, "We could not parse the JSON body.", "invalid_request_error")
    if request.path.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
        return Answer.json({"object": "list", "data": [vector], "model": asked.get("model", "m")})
    if request.path.endswith("/responses"):
        return answered(f"echo: {_last_input_text(asked.get('input'))}", asked)
    text = f"echo: {_last_user_text(asked.get('messages', []))}"
    n, model = asked.get("n") or 1, asked.get("model", "m")
    if not asked.get("stream"):
        return Answer.json(completion(text, n=n, model=model))
    with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    made = chunks(text, n=n, model=model, with_usage=with_usage)
    return Answer.stream(*sse(*made, "[DONE]"))


def response(text: str = "", *, output: Sequence[Json] | None = None, **fields: Any) -> Json:
    """A whole answer of the Responses API; `output` takes the place of the message of `text`."""
    part = {"type": "output_text", "text": text, "annotations": []}
    said = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": "m",
        "output": [said] if output is None else list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "usage": {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 5},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 18,
        },
        **fields,
    }


def typed(*events: Json) -> list[bytes]:
    """Each as one server-sent event of the Responses API, numbered in turn."""
    numbered = ({**event, "sequence_number": i} for i, event in enumerate(events))
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in numbered]


def steps(whole: Json) -> list[Json]:
    """A response as its stream's events: a delta for each word, each item, the response."""
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    made: list[Json] = [{"type": "response.created", "response": begun}]
    for i, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": i, "content_index": 0}
        opened = {**item, "content": []} if item["type"] == "message" else item
        made.append({"type": "response.output_item.added", "output_index": i, "item": opened})
        for part in item.get("content", []):
            empty = {**part, "text": ""}
            made.append({"type": "response.content_part.added", **place, "part": empty})
            made += (
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
                for word in _words(part["text"])
            )
            made.append({"type": "response.content_part.done", **place, "part": part})
        made.append({"type": "response.output_item.done", "output_index": i, "item": item})
    return [*made, {"type": f"response.{whole['status']}", "response": whole}]


def answered(text: str, asked: Json) -> Answer:
    """`text` as a response, in the form that was asked for; its id differs with each request."""
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
    whole = response(text, id=f"resp_{digest}", model=asked.get("model", "m"))
    if asked.get("stream"):
        return Answer.stream(*typed(*steps(whole)))
    return Answer.json(whole)


def closed_port() -> int:
    """A port of loopback that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class LoopbackUpstream:
    """Answers from the queue of a path first, then from `default` (`echo` unless changed)."""

    def __init__(
        self, default: Script = echo, tls: ssl.SSLContext | None = None, *, port: int = 0
    ) -> None:
        self.default = default
        self._tls = tls
        self.requests: list[Recorded] = []
        self.connections_opened = 0
        self.connections_closed = 0
        self.connections_aborted = 0
        """Connections whose client left before it had the whole answer."""
        self.answering = 0
        """Answers that are not over."""
        self.port = port
        """0 takes one that is free; another is for what comes back where it was."""
        self._queues: dict[str, deque[Script]] = {}
        self._changes: list[Signal] = []
        self._ready = Signal()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = Signal()
        self._thread = threading.Thread(target=self._run, name="loopback-upstream", daemon=True)

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def connections_open(self) -> int:
        return self.connections_opened - self.connections_closed

    def queue(self, *answers: Script, path: str = "chat/completions") -> None:
        self._queues.setdefault(path, deque()).extend(answers)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a change of `requests` or the counters that makes `condition` true."""
        while True:
            change = Signal()
            self._changes.append(change)
            if condition():
                return
            await change.wait()

    async def until_aborted(self, count: int = 1) -> None:
        await self.until(lambda: self.connections_aborted >= count)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait_blocking()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def connection() -> _Protocol:
            return _Protocol(self._converse, tasks)

        server = await loop.create_server(connection, "127.0.0.1", self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await asyncio.wrap_future(self._stop._waiter())
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, protocol: "_Protocol") -> None:
        self.connections_opened += 1
        number = self.connections_opened
        try:
            while request := await _receive(protocol.reader, number):
                self.requests.append(request)
                self._changed()
                if not await self._answer(protocol, request):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.connections_aborted += 1
        except ValueError:  # what arrived is no HTTP
            pass
        finally:
            protocol.transport.close()
            self.connections_closed += 1
            self._changed()

    async def _answer(self, protocol: "_Protocol", request: Recorded) -> bool:
        """Whether the connection may be used again. Raises `ConnectionError` if the client left."""
        answer = await _play(self._script(request), request)
        writing = asyncio.ensure_future(_write(protocol, answer))
        leaving = asyncio.ensure_future(protocol.gone.wait())
        self.answering += 1
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                raise ConnectionAbortedError
            return writing.result()
        finally:
            self.answering -= 1
            writing.cancel()
            leaving.cancel()

    def _script(self, request: Recorded) -> Script:
        for path, queue in self._queues.items():
            if request.path.endswith(path) and queue:
                return queue.popleft()
        return self.default

    def _changed(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            change.set()


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream that also knows, while nobody reads, that the client has left."""

    transport: asyncio.Transport

    def __init__(
        self,
        converse: Callable[["_Protocol"], Any],
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self.reader = asyncio.StreamReader()
        self.gone = asyncio.Event()
        self._converse = converse
        self._tasks = tasks
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._out = asyncio.StreamWriter(transport, self, self.reader, asyncio.get_running_loop())
        task = asyncio.ensure_future(self._converse(self))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def write(self, data: bytes) -> None:
        self._out.write(data)
        await self._out.drain()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(error)


async def _receive(reader: asyncio.StreamReader, connection: int) -> Recorded | None:
    """The next request of a connection, None when its client closed it between two."""
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    raw_headers = [_header(line) async for line in _lines(reader)]
    headers = {name.lower(): value for name, value in raw_headers}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join([piece async for piece in _chunked(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, raw_headers, body, connection)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    while (line := await reader.readline()) not in {b"\r\n", b""}:
        yield line.decode("latin-1").rstrip("\r\n")


async def _chunked(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


async def _play(script: Script, request: Recorded) -> Answer:
    if isinstance(script, Answer):
        return script
    try:
        answer = script(request)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as failure:  # in this thread nobody would see it
        return Answer.error(500, f"The test's script failed: {failure!r}", "script_failed")


async def _write(protocol: _Protocol, answer: Answer) -> bool:
    """Whether the connection is still in order after it."""
    if answer.before:
        await answer.before.passage()
    if answer.head is not None:
        await protocol.write(answer.head)
        return False
    chunked = _is_chunked(answer)
    await protocol.write(_head(answer, chunked))
    for piece in [answer.body] if isinstance(answer.body, bytes) else answer.body:
        if isinstance(piece, Gate):
            await piece.passage()
        elif piece:
            await protocol.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if answer.ending == "reset":
        protocol.transport.abort()
    elif answer.ending == "clean" and chunked:
        await protocol.write(b"0\r\n\r\n")
    return answer.ending == "clean" and not _names_length(answer)


def _head(answer: Answer, chunked: bool) -> bytes:
    headers = dict(answer.headers)
    if chunked:
        headers["transfer-encoding"] = "chunked"
    elif isinstance(answer.body, bytes) and answer.ending == "clean":
        headers.setdefault("content-length", str(len(answer.body)))
    lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _is_chunked(answer: Answer) -> bool:
    in_pieces = not isinstance(answer.body, bytes) or answer.ending in {"cut", "reset"}
    return in_pieces and answer.ending != "close" and not _names_length(answer)


def _names_length(answer: Answer) -> bool:
    return any(name.lower() == "content-length" for name in answer.headers)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "loopback"}


def _words(text: str) -> Iterator[str]:
    for index, word in enumerate(text.split(" ")):
        yield f" {word}" if index else word


def _last_input_text(given: Any) -> str:
    if isinstance(given, str):
        return given
    contents = [item["content"] for item in given or [] if item.get("role") == "user"]
    content = contents[-1] if contents else ""
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def _last_user_text(messages: Any) -> str:
    contents = [m.get("content") for m in messages if m.get("role") == "user"]
    content = contents[-1] if contents else ""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return str(content)
