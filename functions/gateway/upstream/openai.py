"""Any OpenAI-compatible upstream over HTTP, bytes in and bytes out.

Nothing of this side is added to what is sent but the credential, the framing and a wish for bytes
as they are (`accept-encoding: identity`). Nothing is retried once a byte has gone out: an answer
costs money.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit

import httpx

from gateway.errors import NotFound, UpstreamFailed, UpstreamTimedOut, UpstreamUnreachable
from gateway.telemetry.metrics import PoolUse
from gateway.telemetry.record import trace_headers
from gateway.upstream.base import UpstreamRequest
from gateway.upstream.client import DirectClient

# Below the idle limit of common load balancers (60 s and more): a request on a connection that the
# other side is just closing fails, and may not be sent again.
KEEPALIVE_SECONDS = 20.0

OF_ONE_CONNECTION = frozenset(  # https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OURS_TO_SET = OF_ONE_CONNECTION | {"accept-encoding", "authorization", "content-length", "host"}
BODILESS = frozenset({"GET", "HEAD"})
DECODABLE = frozenset({"gzip", "deflate"})
WITHHELD = b"[withheld]"
SHORTEST_SECRET = 8  # what is shorter may be a word
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024  # whole or streamed, unpacked: some pack a thousandfold
NO_CLIENT_TIMEOUTS = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}


def make_client(
    *, max_connections: int = 1000, verify: ssl.SSLContext | bool = True
) -> httpx.AsyncClient:
    """A client that follows nothing, keeps no cookie and reads no proxy from the environment.

    `max_connections` is above what an instance serves at once, so that no request waits for another
    to end. A connection that could not be made is tried once more.
    """

    def transport() -> httpx.AsyncBaseTransport:
        from gateway.upstream.aiohttp import AiohttpTransport  # here: 80 ms of a cold start

        return AiohttpTransport(
            max_connections=max_connections, keepalive_seconds=KEEPALIVE_SECONDS, verify=verify
        )

    return DirectClient(transport)


def pool_use(client: httpx.AsyncClient) -> PoolUse | None:
    """None for a client that was not made here."""
    return client.pool_use() if isinstance(client, DirectClient) else None


class OpenAIUpstream:
    """`first_byte_seconds` bounds connecting, sending and waiting for the headers, all together;
    `stall_seconds` the wait for each next piece of the body.
    """

    answers_are_memories = True

    def __init__(
        self,
        base: str,
        api_key: str | None,
        client: httpx.AsyncClient,
        first_byte_seconds: float,
        stall_seconds: float,
    ) -> None:
        self._base = _endpoint(base)
        self._authorization = _authorization(api_key)
        self._secret = (api_key or "").strip().encode()
        self._client = client
        self._first_byte_seconds = first_byte_seconds
        self._stall_seconds = stall_seconds

    async def send(self, request: UpstreamRequest) -> "OpenAIResponse":
        outgoing = self._outgoing(request)
        if isinstance(self._client, DirectClient):
            self._client.opened()  # outside the time limit
        with _translated(f"The upstream said nothing for {self._first_byte_seconds:g} seconds."):
            async with asyncio.timeout(self._first_byte_seconds):
                response = await self._client.send(outgoing, stream=True, follow_redirects=False)
        return OpenAIResponse(response, self._stall_seconds, self._secret)

    async def close(self) -> None:
        await self._client.aclose()

    def _outgoing(self, request: UpstreamRequest) -> httpx.Request:
        """Built without the client, whose defaults (user-agent, accept) are not the caller's."""
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in {**request.headers, **trace_headers()}.items()
            if name.lower() not in OURS_TO_SET
        ]
        url = _url(f"{self._base}/{_quoted(request.path)}")
        headers += [(b"accept-encoding", b"identity"), *self._authorization]
        headers.append((b"host", url.netloc))
        if request.body or request.method not in BODILESS:
            headers.append((b"content-length", b"%d" % len(request.body)))
        return httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=httpx.ByteStream(request.body),
            extensions=NO_CLIENT_TIMEOUTS,
        )


class OpenAIResponse:
    """`headers` are lower-cased, without those that concern only the connection they came on.

    An error that quotes `secret` back, as some servers do with a key they refuse, comes without it.
    """

    def __init__(self, response: httpx.Response, stall_seconds: float, secret: bytes = b"") -> None:
        self._response = response
        self._stall_seconds = stall_seconds
        self._secret = secret
        codings = _encodings(response)
        self._encoded = bool(codings)
        self._decode = codings <= DECODABLE
        self._secret = secret
        self._decode = _encodings(response) <= DECODABLE
        self.status = response.status_code
        self.headers: Mapping[str, str] = _headers(response, decoded=self._decode)

    async def chunks(self) -> AsyncIterator[bytes]:
        body, size = self._pieces(), 0
        try:
            while (chunk := await self._next(body)) is not None:
                size += len(chunk)
                if size > LARGEST_ANSWER_BYTES:
                    raise UpstreamFailed("The upstream's answer is too long.")
                if chunk:
                    yield chunk
        finally:
            await self.close()

    async def read(self) -> bytes:
        body = b"".join([chunk async for chunk in self.chunks()])
        if self.status >= 400 and len(self._secret) >= SHORTEST_SECRET:
            return body.replace(self._secret, WITHHELD)
        return body

    async def close(self) -> None:
        """In the middle of the body the connection is closed, not drained: the upstream stops.

        httpcore shields its own clean-up, so that this holds in a cancelled task too.
        """
        await self._response.aclose()

    def _pieces(self) -> AsyncIterator[bytes]:
        """As they come: httpx's own iterators count and regroup what needs neither."""
        if self._encoded and self._decode:
            return self._response.aiter_bytes()
        assert isinstance(self._response.stream, httpx.AsyncByteStream)  # noqa: S101  the client is async
        return aiter(self._response.stream)

    async def _next(self, body: AsyncIterator[bytes]) -> bytes | None:
        with _translated(f"The upstream's answer stopped for {self._stall_seconds:g} seconds."):
            async with asyncio.timeout(self._stall_seconds):
                return await anext(body, None)


@contextlib.contextmanager
def _translated(too_late: str) -> Iterator[None]:
    """httpx's errors as ours. What they say is left out: it may quote a header or a URL."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise UpstreamTimedOut(too_late) from error
    except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
        raise UpstreamUnreachable("The upstream cannot be reached.") from error
    except (httpx.HTTPError, OSError) as error:
        raise UpstreamFailed("The connection to the upstream broke.") from error


def _endpoint(base: str) -> str:
    """What `/chat/completions` is appended to. The errors do not repeat the base."""
    base = base.strip()
    parts = _split(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the upstream base is an http or https URL")
    if "@" in parts.netloc:
        raise ValueError("the upstream base holds no credential; the API key is set apart")
    if "?" in base or "#" in base:
        raise ValueError("the upstream base has no query and no fragment")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split(base: str) -> SplitResult:
    try:
        httpx.URL(base)
        parts = urlsplit(base)
        _ = parts.port  # raises when it is no port
    except (httpx.InvalidURL, ValueError):
        raise ValueError("the upstream base is not a valid URL") from None
    return parts


def _authorization(api_key: str | None) -> list[tuple[bytes, bytes]]:
    """Refuses here what HTTP would refuse later, in an error that quotes the key."""
    api_key = (api_key or "").strip()
    if not api_key.isascii() or not api_key.isprintable():
        raise ValueError("the upstream API key holds a character that no header can carry")
    return [(b"authorization", b"Bearer " + api_key.encode())] if api_key else []


@lru_cache(maxsize=64)
def _url(text: str) -> httpx.URL:
    """Parsed once for each path; parsing takes a tenth of what the exchange does."""
    return httpx.URL(text)


def _quoted(path: str) -> str:
    """`models/{id}` comes from a caller, who must not climb out of the base."""
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise NotFound("There is no such path at the upstream.")
    return quote(path, safe="/:@!$&'()*+,;=")


def _encodings(response: httpx.Response) -> set[str]:
    """Content codings of a body that came encoded unasked; empty for bytes as they are."""
    named = response.headers.get("content-encoding", "")
    return {coding for part in named.split(",") if (coding := part.strip().lower())} - {"identity"}


def _headers(response: httpx.Response, *, decoded: bool) -> dict[str, str]:
    """As latin-1, which Starlette writes back to the same bytes, whatever they were."""
    dropped = set(OF_ONE_CONNECTION)
    if decoded and _encodings(response):
        dropped |= {"content-encoding", "content-length"}
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name not in dropped:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
