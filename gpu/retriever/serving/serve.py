"""The retriever over HTTP, as `retriever_contract` has it: one ASGI app for uvicorn and for Modal.

Nobody signs in here. On Modal the proxy asks for a key before a request arrives; elsewhere
`python -m retriever serve` listens on loopback only, unless it is told otherwise.

A caller that hangs up is not noticed: the deadline it sent ends the ranking, and the memory that
was being read for it is what its next question needs.
"""

import json
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retriever.errors import DeadlinePassed, RetrieverError, TooLarge
from retriever.serving.arrival import Arrival, Ranker
from retriever_contract.wire import (
    MAX_TEXT_BYTES,
    STATUSES,
    Failure,
    FailureCode,
    ForgetRequest,
    Health,
    PrefillRequest,
    RankRequest,
)

logger = logging.getLogger(__name__)

# JSON may spell one byte as six ("\u0000"); ids, queries and brackets stay below the rest.
MAX_BODY_BYTES = 8 * MAX_TEXT_BYTES
CONTENT_LENGTH = re.compile(r"[0-9]{1,20}")
RETRY_SECONDS: dict[FailureCode, float] = {"overloaded": 1.0, "loading": 5.0, "unusable": 60.0}

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(
    start: Callable[[], Ranker], announce: Callable[[Health], None] | None = None
) -> Starlette:
    """Listens at once and loads meanwhile; `announce` hears how that ended."""
    return serve_arrival(Arrival(start, announce))


def serve_arrival(arrival: Arrival) -> Starlette:
    """For an engine that was loaded already, or could not be; else the app's start loads it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        arrival.begin()
        yield
        arrival.close()

    desk = Desk(arrival)
    app = Starlette(
        routes=[
            Route("/v1/rank", desk.rank, methods=["POST"]),
            Route("/v1/prefill", desk.prefill, methods=["POST"]),
            Route("/v1/forget", desk.forget, methods=["POST"]),
            Route("/v1/health", desk.health, methods=["GET"]),
        ],
        middleware=[Middleware(RequestGuard)],
        exception_handlers={RetrieverError: _retriever_error, HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an answer that is not of the contract
    return app


class Desk:
    """One method an endpoint: read the request, ask the engine, note the figures for the log."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival

    async def rank(self, request: Request) -> Response:
        engine = self._arrival.engine
        answer = await engine.rank(await _read(request, RankRequest))
        work = answer.work
        _note(request, windows=work.windows, tokens=work.tokens, tokens_cached=work.tokens_cached)
        return _json(answer)

    async def prefill(self, request: Request) -> Response:
        engine = self._arrival.engine
        answer = engine.prefill(await _read(request, PrefillRequest))
        _note(request, windows=answer.windows)
        return _json(answer, 202)

    async def forget(self, request: Request) -> Response:
        engine = self._arrival.engine
        answer = await engine.forget(await _read(request, ForgetRequest))
        _note(request, windows=answer.windows)
        return _json(answer)

    async def health(self, _: Request) -> Response:
        health = self._arrival.health()
        if health.status == "ready":
            return _json(health)
        return _json(health, STATUSES[health.status], RETRY_SECONDS[health.status])


class RequestGuard:
    """One log line a request, of numbers; a crash becomes the contract's `failed`.

    Neither the line nor what is said of a crash holds anything that was sent.
    """

    def __init__(self, app: ASGIApp, timer: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = self._timer(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            logger.error("unhandled %s", _described(error))
            if not status:  # an answer that has begun is left for the server to cut off
                await _failure("failed", "The retriever had an error.")(scope, receive, watched)
        finally:
            _log(scope, status, self._timer() - started)


async def _read(request: Request, kind: type[Body]) -> Body:
    """The body as what is asked for. Its content type is nobody's concern.

    Raises HTTPException 400 with a message that names places and quotes nothing, TooLarge.
    """
    body = await _body(request)
    try:
        return kind.model_validate_json(body)
    except ValidationError as invalid:
        raise HTTPException(400, _complaint(invalid)) from None


async def _body(request: Request) -> bytes:
    """Raises TooLarge as soon as it is, whatever length was announced."""
    announced = request.headers.get("content-length", "")
    if CONTENT_LENGTH.fullmatch(announced) and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            pieces.append(piece)
    except ClientDisconnect:
        raise HTTPException(400, "The request body was cut short.") from None
    return b"".join(pieces)


def _complaint(invalid: ValidationError) -> str:
    """The first thing wrong and where; the input itself is left out."""
    first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "body"
    others = invalid.error_count() - 1
    return f"{place}: {first['msg']}" + (f" (and {others} more)" if others else "")


def _too_large() -> TooLarge:
    return TooLarge(f"The request body may take {MAX_BODY_BYTES} bytes.")


async def _retriever_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetrieverError)  # noqa: S101  what Starlette registered it for
    if error.code == "failed":
        logger.error("failed: %s", _described(error.__cause__ or error))
    embeds = isinstance(error, DeadlinePassed) and error.embeds
    return _failure(error.code, str(error), error.retry_after_seconds, embeds=embeds)


async def _http_error(_: Request, error: Exception) -> Response:
    """Ours of a request that is not the contract's, and Starlette's: no such path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101  what Starlette registered it for
    answer = _json(Failure(code="bad_request", message=error.detail), error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def _failure(
    code: FailureCode, message: str, retry_seconds: float | None = None, *, embeds: bool = False
) -> Response:
    if retry_seconds is None:
        retry_seconds = RETRY_SECONDS.get(code)
    body = Failure(code=code, message=message, retry_after_seconds=retry_seconds, embeds=embeds)
    return _json(body, STATUSES[code], retry_seconds)


def _json(body: BaseModel, status: int = 200, retry_seconds: float | None = None) -> Response:
    headers = {}
    if retry_seconds is not None:
        headers["retry-after"] = str(max(1, math.ceil(retry_seconds)))
    return Response(body.model_dump_json(), status, headers, "application/json")


def _note(request: Request, **figures: int) -> None:
    request.scope["figures"] = figures


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    line = {
        "event": "retriever_request",
        "endpoint": getattr(route, "path", "unmatched"),
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        **scope.get("figures", {}),
    }
    logger.log(logging.ERROR if status in {0, 500} else logging.INFO, json.dumps(line))


def _described(error: BaseException) -> str:
    """The error's kind and where it arose; never its message, which may quote what was sent."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place, trace = f"{code.co_filename}:{trace.tb_lineno} {code.co_name}", trace.tb_next
    return f"{type(error).__name__} at {place}"
