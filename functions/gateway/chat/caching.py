"""Answers kept for minutes: an identical request of the same person is answered from the store.

What is kept is the upstream's own body, whole or streamed, so that the turn goes on as if it had
just come: it is remembered, receipted and counted. A place for the answer is taken before the
upstream is asked and filled only while it is still there: an erasure meanwhile leaves nothing.
"""

import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.chat.chat_completions import ChatCompletions
from gateway.chat.dialect import Dialect
from gateway.chat.wire import ChatRequest
from gateway.documents.base import (
    Conflict,
    Create,
    Document,
    Documents,
    StoreUnavailable,
    Update,
    Version,
)
from gateway.identity.base import Identity
from gateway.memory.records import content_hash, owner_path
from gateway.memory.upgrades import SCHEMA
from gateway.upstream.base import UpstreamResponse, WholeResponse
from gateway.upstream.sse import EventSplitter

MAX_BYTES = 400 * 1024
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer may be kept, as it stood when it was taken."""

    path: str
    version: Version


class Keeping:
    """A response on its way, whose body is kept once it has come whole."""

    def __init__(
        self, response: UpstreamResponse, keep: Callable[[bytes, str], Awaitable[None]]
    ) -> None:
        self._response = response
        self._keep = keep
        self.status = response.status
        self.headers = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        come, size = list[bytes](), 0
        async for chunk in self._response.chunks():
            size += len(chunk)
            if size <= MAX_BYTES:
                come.append(chunk)
            yield chunk
        if size <= MAX_BYTES:
            await self._keep(b"".join(come), self.headers.get("content-type", ""))

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def close(self) -> None:
        await self._response.close()


@dataclass(frozen=True, slots=True)
class Looked:
    """`answer` on a hit, a `place` on a miss; neither where this request is not for the cache, or
    where somebody else is just filling its place."""

    answer: WholeResponse | None = None
    place: Place | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class ResponseCache:
    """`enabled` tells for whose memory. `seconds` 0 keeps nothing. What the store does not give or
    take is a miss."""

    def __init__(
        self,
        documents: Documents,
        enabled: Callable[[str], Awaitable[bool]],
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._documents = documents
        self._enabled = enabled
        self._seconds = seconds
        self._clock = clock
        self.hits = 0
        self.misses = 0

    async def look(
        self, caller: Identity, request: ChatRequest, about: str, asked: bool | None
    ) -> Looked:
        """`about` is what else decides the answer; `asked` whether the caller wants it kept, None
        to leave it to the temperature."""
        if not self._seconds or not _wanted(request, asked):
            return Looked()
        if not await self._enabled(caller.owner):
            return Looked()
        key = _key(caller, request, about)
        path = f"{owner_path(caller.owner)}/requests/{key}"
        try:
            found = (await self._documents.get(path))[0]
            if found is not None and (answer := self._answer(found)) is not None:
                self.hits += 1
                return Looked(answer, headers={"x-cache": "hit"})
            self.misses += 1
            return Looked(place=await self._taken(path, found), headers={"x-cache": "miss"})
        except (Conflict, StoreUnavailable):
            return Looked(headers={"x-cache": "miss"})

    def keeping(
        self, response: UpstreamResponse, place: Place | None, dialect: Dialect | None = None
    ) -> UpstreamResponse:
        if place is None or response.status != 200:
            return response
        spoken = dialect or ChatCompletions()

        async def keep(body: bytes, content_type: str) -> None:
            if _whole(body, content_type, spoken):
                await self._keep(place, body, content_type)

        return Keeping(response, keep)

    async def _taken(self, path: str, found: Document | None) -> Place:
        fields = {"schema": SCHEMA, "state": "awaited"}
        until = self._clock() + self._seconds
        taking = (
            Create(path, fields, until)
            if found is None
            else Update(path, fields, found.version, until)
        )
        written = await self._documents.commit(taking)
        return Place(path, written[0].version)

    async def _keep(self, place: Place, body: bytes, content_type: str) -> None:
        fields = {
            "schema": SCHEMA,
            "state": "kept",
            "body": base64.b64encode(body).decode(),
            "content_type": content_type,
        }
        until = self._clock() + self._seconds
        with contextlib.suppress(Conflict, StoreUnavailable):
            await self._documents.commit(Update(place.path, fields, place.version, until))

    def _answer(self, found: Document) -> WholeResponse | None:
        """Whatever the store's own clean-up has not taken away yet, its time may be over."""
        fields: Mapping[str, Any] = found.fields
        if found.expired(self._clock()) or fields.get("state") != "kept":
            return None
        body = base64.b64decode(fields["body"])
        return WholeResponse(body, {"content-type": fields["content_type"]})


def _wanted(request: ChatRequest, asked: bool | None) -> bool:
    if asked is not None:
        return asked
    temperature = request.payload.get("temperature")
    return temperature == 0 and not isinstance(temperature, bool)


def _key(caller: Identity, request: ChatRequest, about: str) -> str:
    """Of the person too: members of a workspace share a memory, and not their answers."""
    body = orjson.dumps(request.payload, option=orjson.OPT_SORT_KEYS).decode()
    return content_hash(caller.owner, "cache", body, (caller.subject, about))


def _whole(body: bytes, content_type: str, dialect: Dialect) -> bool:
    if not content_type.startswith(EVENT_STREAM):
        told = dialect.whole(body)
        return told is not None and told.complete
    completion, splitter = dialect.begun(), EventSplitter()
    for event in splitter.feed(body):
        if event.data is not None:
            completion.add_chunk(event.data)
    return completion.done and completion.complete
