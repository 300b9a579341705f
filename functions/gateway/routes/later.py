"""Routes that are made when somebody first asks for one: a cold start need not import them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Router
from starlette.types import Receive, Scope, Send


class Later(BaseRoute):
    """The last of an app's routes: takes whatever the others left.

    `make` gives all routes of the app, those before this one too, so that a method they do not have
    is answered as ever. It runs on a thread: other requests go on meanwhile.
    """

    def __init__(self, make: Callable[[], Sequence[BaseRoute]]) -> None:
        self._make = make
        self._router: Router | None = None
        self._making: asyncio.Task[Router] | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._router or await self.ready()
        await router(scope, receive, send)

    async def ready(self) -> Router:
        """However many ask, the routes are made once; a failure is told to all and tried again."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(asyncio.to_thread(self._router_of_all))
        self._router = await asyncio.shield(self._making)
        return self._router

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """None before they were asked for."""
        return self._router.routes if self._router else ()

    def made(self) -> list[BaseRoute]:
        return list(self._make())

    def _router_of_all(self) -> Router:
        return Router(routes=self.made())


def every(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Those made later too, once they are made; what was there before them comes twice then."""
    for route in routes:
        yield route
        if isinstance(route, Later):
            yield from route.routes
