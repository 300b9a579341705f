"""The Starlette app: routes, CORS, errors in OpenAI's shape, one log line per request.

Knows no settings and no implementation; `wiring` hands over what it is made of.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, MethodNotAllowed, NotFound, RateLimited
from gateway.routes.later import every
from gateway.routes.requests import request_id_of
from gateway.routes.responses import json_response
from gateway.routes.safeguards import Safeguards
from gateway.telemetry.instruments import Instruments
from gateway.telemetry.lines import Line, request_line
from gateway.telemetry.metrics import METHODS, Answer
from gateway.telemetry.record import Record, current, recording
from gateway.telemetry.reduced import described, told_of
from gateway.telemetry.tracecontext import context_of
from gateway.telemetry.tracing import Value

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
    "x-redactions",
    "x-cache",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-budget-warning",
    "retry-after",
)


def build_app(
    routes: Sequence[BaseRoute], origins: Sequence[str], instruments: Instruments | None = None
) -> Starlette:
    """`origins` are exact; with none, no other site's page may call."""
    scope = Middleware(RequestScope, instruments or Instruments())
    middleware = [scope, Middleware(Safeguards)]  # outermost: preflights have an id and a line too
    if origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
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
    """What is seen of an answer from outside; seconds are the timer's."""

    started: float
    status: int = 0
    first_byte: float | None = None

    def note(self, message: Message, now: float) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self.first_byte is None and message.get("body"):
            self.first_byte = now


class RequestScope:
    """Gives each request its id and its record, and at its end tells what became of it: one log
    line, and the metrics and the span where there are any.
    """

    def __init__(
        self,
        app: ASGIApp,
        instruments: Instruments,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._instruments = instruments
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = Answered(self._timer())
        record = self._begun(scope)
        request_id = record.request_id.encode()

        async def send_with_id(message: Message) -> None:
            answered.note(message, self._timer())
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        with recording(record):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                self._ended(scope, record, answered)

    def _begun(self, scope: Scope) -> Record:
        instruments = self._instruments
        scope.pop("route", None)  # the framework's own, which has one for every path
        record = Record(
            context=context_of(scope["headers"]),
            tracer=instruments.tracer,
            measured=instruments.metrics.on,
            request_id=request_id_of(Request(scope)),
        )
        instruments.metrics.began()
        if instruments.tracer is not None:
            told: dict[str, Value] = {"http.request.method": _method(scope)}
            record.span = instruments.tracer.begin(_method(scope), "server", record.context, told)
            record.active = record.span
        return record

    def _ended(self, scope: Scope, record: Record, answered: Answered) -> None:
        seconds = self._timer() - answered.started
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        answer = Answer(_method(scope), endpoint, answered.status, seconds)
        failed = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if record.completion is not None:  # nobody said how it ended: it was cut
            record.completion.end({}, "cut")
        if record.span is not None:
            record.span.tell({"http.route": endpoint, "http.response.status_code": answer.status})
            record.span.end(f"{answer.method} {endpoint}", str(answer.status) if failed else "")
        self._instruments.metrics.ended(answer, record)
        level = logging.ERROR if failed else logging.INFO
        if logger.isEnabledFor(level):
            logger.log(level, request_line(answer, record, answered.started, answered.first_byte))


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
            told = f"unhandled {described(error)}"
            line = {"event": "crash", "severity": "ERROR", "message": told, **told_of(error)}
            logger.error(Line(line))
            if not begun:
                await _internal_error()(scope, receive, send)


async def _gateway_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101  what Starlette registered it for
    _noted(error)
    return json_response(error.body(), error.status, error.headers)


def _noted(error: GatewayError) -> None:
    """What the log is to know of a refusal."""
    record = current()
    if isinstance(error, RateLimited):
        record.limiter = "refused"
    elif error.code == "limiter_unavailable":
        record.limiter = "unavailable"


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
        for route in every(request.app.routes)
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
    ]
    return ", ".join(sorted(set[str]().union(*here)))


def _as_ours(error: HTTPException) -> GatewayError:
    at_fault = "api_error" if error.status_code >= 500 else "invalid_request_error"
    return GatewayError(error.detail, type=at_fault, code=f"http_{error.status_code}")


def _internal_error() -> Response:
    return json_response(GatewayError("The server had an error.").body(), 500)


def _method(scope: Scope) -> str:
    """A caller may send any word."""
    method: str = scope["method"]
    return method if method in METHODS else "other"
