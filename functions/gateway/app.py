"""The Starlette app: routes, CORS, errors in OpenAI's shape, one log line per request.

Knows no settings and no implementation; `wiring` hands over what it is made of.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.routes.requests import request_id_of
from gateway.routes.responses import json_response

logger = logging.getLogger("gateway.requests")

EXPOSED_HEADERS = (
    "x-tokens-before",
    "x-tokens-after",
    "x-tokens-saved",
    "x-cost-before-usd",
    "x-cost-after-usd",
    "x-cost-saved-usd",
    "x-request-id",
    "x-session-id",
    "x-memory-status",
    "x-memory-latency-ms",
    "x-memory-receipt",
    "x-memory-retriever",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "retry-after",
)


def build_app(routes: Sequence[BaseRoute], origins: Sequence[str]) -> Starlette:
    """`origins` are exact; with none, no other site's page may call."""
    middleware = [Middleware(RequestScope)]  # outermost: preflights have an id and a line too
    if origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=list(EXPOSED_HEADERS),
                max_age=600,
            )
        )
    middleware.append(Middleware(CrashGuard))  # innermost: a page of these origins reads our 500
    return Starlette(
        routes=list(routes),
        middleware=middleware,
        exception_handlers={GatewayError: _gateway_error, HTTPException: _http_error},
    )


@dataclass(slots=True)
class Answered:
    """What the log tells of an answer; seconds are the timer's."""

    started: float
    status: int = 0
    retriever: str = ""
    tokens_saved: str = ""
    first_byte: float | None = None

    def note(self, message: Message, now: float) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message.get("headers", ()))
            self.status = message["status"]
            self.retriever = headers.get("x-memory-retriever", "")
            self.tokens_saved = headers.get("x-tokens-saved", "")
        elif self.first_byte is None and message.get("body"):
            self.first_byte = now

    def fields(self, ended: float) -> dict[str, Any]:
        """As JSON; what this answer had nothing of is left out."""
        known: dict[str, Any] = {
            "status": self.status,
            "duration_ms": _milliseconds(ended - self.started),
        }
        if self.first_byte is not None:
            known["first_byte_ms"] = _milliseconds(self.first_byte - self.started)
        if self.retriever:
            known["retriever"] = self.retriever
        if self.tokens_saved.removeprefix("-").isdecimal():
            known["tokens_saved"] = int(self.tokens_saved)
        return known


class RequestScope:
    """Gives each request its id, and logs one line at its end.

    The line holds no text, token or key: method, the route's pattern, status, milliseconds to the
    first byte and to the last, and where a prompt was made who ranked and what it saved.
    """

    def __init__(self, app: ASGIApp, timer: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = Answered(self._timer())
        request_id = request_id_of(Request(scope))

        async def send_with_id(message: Message) -> None:
            answered.note(message, self._timer())
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._log(scope, request_id, answered)

    def _log(self, scope: Scope, request_id: str, answered: Answered) -> None:
        failed = answered.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        level = logging.ERROR if failed else logging.INFO
        line = {
            "event": "api_request",
            "severity": logging.getLevelName(level),
            "request_id": request_id,
            "method": scope["method"],
            "endpoint": getattr(scope.get("route"), "path", "unmatched"),
            **answered.fields(self._timer()),
        }
        logger.log(level, orjson.dumps(line).decode())


class CrashGuard:
    """Turns a crash into OpenAI's 500; the log gets the error's kind and place.

    An answer that has begun is left without its end, and the server cuts it off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            logger.error("unhandled %s", _described(error))
            if not begun:
                await _internal_error()(scope, receive, send)


async def _gateway_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101  what Starlette registered it for
    return json_response(error.body(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no route, not with this method, or whatever else it may come to refuse."""
    assert isinstance(error, HTTPException)  # noqa: S101  what Starlette registered it for
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        ours: GatewayError = MethodNotAllowed("This method is not allowed here.")
        error.headers = {"allow": _allowed(request)}
    elif error.status_code == HTTPStatus.NOT_FOUND:
        ours = NotFound("Unknown request URL.", code="unknown_url")
    else:
        ours = _as_ours(error)
    return json_response(ours.body(), error.status_code, error.headers)


def _allowed(request: Request) -> str:
    """All methods of a path (RFC 9110, 10.2.1); Starlette names those of the first route alone."""
    here = [
        route.methods or set()
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
    ]
    return ", ".join(sorted(set[str]().union(*here)))


def _as_ours(error: HTTPException) -> GatewayError:
    at_fault = "api_error" if error.status_code >= 500 else "invalid_request_error"
    return GatewayError(error.detail, type=at_fault, code=f"http_{error.status_code}")


def _internal_error() -> Response:
    return json_response(GatewayError("The server had an error.").body(), 500)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _described(error: BaseException) -> str:
    """The error's kind and where it arose; never its message, which may quote what was sent."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place, trace = f"{code.co_filename}:{trace.tb_lineno} {code.co_name}", trace.tb_next
    return f"{type(error).__name__} at {place}"
