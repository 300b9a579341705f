"""httpx over aiohttp's connections: the same client, a parser in C and a fraction of the cost.

httpx-aiohttp 0.2.0 does the same, but reports a reset as a timeout, adds aiohttp's own headers,
passes a switch of protocols on and reads certificates at every start; what is here does none of it.
ARCHITECTURE.md compares the transports.
"""

import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

from gateway.telemetry.metrics import PoolUse

NO_TIMEOUT = aiohttp.ClientTimeout()
LARGE_BYTES = 1024 * 1024  # of a body; above it aiohttp wants to write in pieces
LONGEST_FIELD = 64 * 1024  # of a header, and of the status line
AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")  # none of ours to add


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Opens nothing before its first request, which also decides the event loop.

    aiohttp writes header values as UTF-8: a request with other bytes goes over httpcore.
    """

    def __init__(
        self, *, max_connections: int, keepalive_seconds: float, verify: ssl.SSLContext | bool
    ) -> None:
        self._max_connections = max_connections
        self._keepalive_seconds = keepalive_seconds
        self._verify = verify
        self._context: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._plain: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = _headers(request)
        if headers is None:
            return await self._over_httpcore().handle_async_request(request)
        session = self._session or self._open()
        body = await request.aread()
        with _translated():
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=headers,
                data=io.BytesIO(body) if len(body) > LARGE_BYTES else body or None,
                allow_redirects=False,
                timeout=_timeout(request.extensions.get("timeout", {})),
                ssl=self._tls() if request.url.scheme == "https" else True,
            )
        if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            answer.close()
            raise httpx.RemoteProtocolError("The server switched protocols unasked.")
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request
        )

    def connections(self) -> int:
        """How many are open or being made, the idle ones among them."""
        use = self.use()
        return use.active + use.idle

    def use(self) -> PoolUse:
        if self._session is None or not isinstance(self._session.connector, aiohttp.TCPConnector):
            return PoolUse(active=0, idle=0)
        connector = self._session.connector
        idle = sum(map(len, connector._conns.values()))
        return PoolUse(active=len(connector._acquired), idle=idle)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._plain is not None:
            await self._plain.aclose()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=self._keepalive_seconds,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=AUTOMATIC,
            timeout=NO_TIMEOUT,
            auto_decompress=False,
            trust_env=False,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
        )
        # As aiohttp's own test client does: what a server hung up on is not asked again unasked.
        self._session._retry_connection = False
        return self._session

    def _tls(self) -> ssl.SSLContext:
        """Authorities are read at the first request that has one to trust: 30 ms."""
        if self._context is None:
            self._context = httpx.create_ssl_context(verify=self._verify, trust_env=False)
        return self._context

    def _over_httpcore(self) -> httpx.AsyncHTTPTransport:
        if self._plain is None:
            self._plain = httpx.AsyncHTTPTransport(verify=self._verify, trust_env=False)
        return self._plain


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            while chunk := await self._answer.content.readany():
                yield chunk

    async def aclose(self) -> None:
        """Closes the connection, unless the body was read to its end: then it was kept."""
        self._answer.close()


def _headers(request: httpx.Request) -> CIMultiDict[str] | None:
    try:
        pairs = [(name.decode(), value.decode()) for name, value in request.headers.raw]
    except UnicodeDecodeError:
        return None
    return CIMultiDict(pairs)


def _timeout(named: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    """httpx's four; aiohttp's `connect` is the wait for a connection, its making included."""
    if not any(named.values()):
        return NO_TIMEOUT
    return aiohttp.ClientTimeout(
        connect=named.get("pool"), sock_connect=named.get("connect"), sock_read=named.get("read")
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's errors as httpx's."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol(str(error)) from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except aiohttp.ServerDisconnectedError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.ReadError(str(error)) from error
