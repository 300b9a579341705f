"""`POST /v1/memory/import`: a past brought back, or brought along from elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import MEDIA_TOKENS, count_message
from gateway.entities.restoration import EntityRestoration
from gateway.errors import BadRequest
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.memory.restoration import Restoration
from gateway.portability.formats import Body, Format, format_of, items_of
from gateway.portability.importing import Import
from gateway.portability.report import Report
from gateway.redaction.redaction import Redaction
from gateway.routes.requests import body_pieces, storer_of
from gateway.routes.responses import json_response
from gateway.tokens.base import Tokenizer


class ImportRoutes:
    """`restoration` and `entities` make one each for an owner's import."""

    def __init__(
        self,
        door: Authenticator,
        restoration: Callable[[str], Restoration],
        entities: Callable[[str], EntityRestoration],
        tokenizer: Tokenizer,
        clock: Callable[[], float],
        *,
        limiter: Limiter,
        max_import_bytes: int,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._door = door
        self._restoration = restoration
        self._entities = entities
        self._tokenizer = tokenizer
        self._clock = clock
        self._limiter = limiter
        self._max_import_bytes = max_import_bytes

    def routes(self) -> list[Route]:
        return [Route("/v1/memory/import", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        """200 with a report, however much was refused; 400 where nothing could be taken.

        It costs a request and no tokens of the limits.
        """
        caller = await storer_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = Body(body_pieces(request, self._max_import_bytes))
        opening = await body.opening()
        content_type = request.headers.get("content-type", "")
        format = format_of(request.query_params.get("format"), content_type, opening)
        owner = caller.owner
        restored = self._restoration(owner), self._entities(owner)
        redactor = await self._redaction.of(owner)
        work = Import(owner, *restored, self._count, self._clock, redactor)
        report = await work.take(items_of(format, opening, body))
        _check(report)
        headers = {**redactor.headers(), **reservation.headers()}
        return json_response(_told(report, format), 200, headers)

    def _count(self, role: str, content: str, extras: Mapping[str, Any]) -> int:
        message = {"role": role, "content": content, **extras}
        return count_message(message, self._tokenizer) + MEDIA_TOKENS * len(extras.get("media", ()))


def _check(report: Report) -> None:
    """Raises `BadRequest` for a body of which nothing at all could be taken."""
    if report.errors and not report.taken:
        first = report.errors[0]
        raise BadRequest(
            f"Line {first.line}: {first.message} Nothing was imported.",
            param=f"line {first.line}",
            code=first.code,
        )


def _told(report: Report, format: Format) -> dict[str, Any]:
    errors = [{"line": one.line, "message": one.message, "code": one.code} for one in report.errors]
    return {
        "object": "memory.import",
        "format": format,
        "messages": report.read,
        "stored": report.stored,
        "archived": report.archived,
        "unchanged": report.unchanged,
        "skipped": report.skipped,
        "refused": report.refused,
        "sessions": report.sessions,
        "versions": report.versions,
        "versions_unchanged": report.versions_unchanged,
        "commits": report.commits,
        "whole": report.whole,
        "errors": errors,
    }
