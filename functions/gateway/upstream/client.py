"""httpx's client for somebody who passes things on."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import httpx

from gateway.telemetry.metrics import PoolUse


@runtime_checkable
class Pooled(Protocol):
    def use(self) -> PoolUse: ...


class DirectClient(httpx.AsyncClient):
    """Hands a request to its transport as it is: nothing is followed, kept, signed or logged.

    What `AsyncClient.send` does besides takes as long as the exchange itself. The transport is made
    at the first request.
    """

    def __init__(self, make_transport: Callable[[], httpx.AsyncBaseTransport]) -> None:
        super().__init__(transport=httpx.AsyncBaseTransport(), trust_env=False)
        self._make_transport = make_transport
        self.transport: httpx.AsyncBaseTransport | None = None

    def opened(self) -> httpx.AsyncBaseTransport:
        """The transport; making it imports a library, which belongs to nobody's time limit."""
        if self.transport is None:
            self.transport = self._make_transport()
        return self.transport

    def pool_use(self) -> PoolUse | None:
        """None where the transport does not tell."""
        if self.transport is None:
            return PoolUse(active=0, idle=0)
        return self.transport.use() if isinstance(self.transport, Pooled) else None

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **_: object
    ) -> httpx.Response:
        response = await self.opened().handle_async_request(request)
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response

    async def aclose(self) -> None:
        await super().aclose()
        if self.transport is not None:
            await self.transport.aclose()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
