"""How facts came to be: an entity's versions, what two of them differ in, who said what."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.entities.register import Register
from gateway.entities.versions import History, Mark, blame, difference
from gateway.errors import NotFound
from gateway.identity.base import Authenticator
from gateway.routes.entities import attributes, blocks_told
from gateway.routes.queries import moment_of, number_of, numbered_page_of, paged
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response


class HistoryRoutes:
    """Each takes `as_of` and `known_at`: what was recorded after `known_at` is not there, of what
    is told only that which began by `as_of` is."""

    def __init__(self, door: Authenticator, register: Register) -> None:
        self._door = door
        self._register = register

    def routes(self) -> list[Route]:
        path = "/v1/memory/entities/{id}"
        return [
            Route(f"{path}/versions", self.versions, methods=["GET"]),
            Route(f"{path}/versions/{{number}}", self.version, methods=["GET"]),
            Route(f"{path}/diff", self.diff, methods=["GET"]),
            Route(f"{path}/blame", self.blame, methods=["GET"]),
        ]

    async def versions(self, request: Request) -> Response:
        """The newest first. With an `as_of` those alone that speak of before."""
        caller = await caller_of(request, self._door)
        limit, after = numbered_page_of(request)
        as_of, known_at = moment_of(request, "as_of"), moment_of(request, "known_at")
        history = await self._register.history(caller.owner, request.path_params["id"])
        marks = [
            mark
            for mark in reversed(history.marks)
            if (after is None or mark.number < after)
            and (as_of is None or mark.valid_from <= as_of)
            and (known_at is None or mark.recorded_at <= known_at)
        ]
        page = marks[:limit]
        more = str(page[-1].number) if len(marks) > limit else None
        return json_response(paged([_mark(history, mark, known_at) for mark in page], more))

    async def version(self, request: Request) -> Response:
        """One version with every statement that it holds; with an `as_of` those that held then."""
        caller = await caller_of(request, self._door)
        id, text = request.path_params["id"], request.path_params["number"]
        as_of, known_at = moment_of(request, "as_of"), moment_of(request, "known_at")
        history = await self._register.history(caller.owner, id)
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        mark = _known(history, number, known_at)
        content = await self._register.content(caller.owner, id, mark.number)
        statements = content.statements if as_of is None else content.holding(as_of)
        told = {**attributes(id, content), "blocks": blocks_told(content, statements)}
        return json_response({**_mark(history, mark, known_at), **told})

    async def diff(self, request: Request) -> Response:
        """From one version to another; by default from the one before the last known to that."""
        caller = await caller_of(request, self._door)
        id = request.path_params["id"]
        as_of, known_at = moment_of(request, "as_of"), moment_of(request, "known_at")
        since, to = number_of(request, "from"), number_of(request, "to")
        history = await self._register.history(caller.owner, id)
        last = history.known(known_at)
        to = to or (last.number if last else 0)
        _known(history, to, known_at, "to")
        since = to - 1 if since is None else since
        if since:
            _known(history, since, known_at, "from")
        before = await self._register.content(caller.owner, id, since) if since else None
        after = await self._register.content(caller.owner, id, to)
        told = {"object": "memory.diff", "entity": id, "from": since, "to": to}
        return json_response({**told, **difference(before, after, as_of)})

    async def blame(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        view = await self._register.get(
            caller.owner,
            request.path_params["id"],
            as_of=moment_of(request, "as_of"),
            known_at=moment_of(request, "known_at"),
        )
        return json_response(
            {
                "object": "memory.blame",
                "entity": view.id,
                "version": view.mark.number,
                "as_of": view.as_of,
                "statements": blame(view.content, view.history, view.as_of),
            }
        )


def _known(history: History, number: int, known_at: float | None, param: str | None = None) -> Mark:
    mark = history.mark(number)
    if mark is None or (known_at is not None and mark.recorded_at > known_at):
        raise NotFound("The entity has no such version.", param=param, code="version_not_found")
    return mark


def _mark(history: History, mark: Mark, known_at: float | None = None) -> dict[str, Any]:
    return {
        "object": "memory.entity.version",
        "version": mark.number,
        "valid_from": mark.valid_from,
        "valid_to": history.valid_to(mark, known_at),
        "recorded_at": mark.recorded_at,
        "commit": mark.commit,
    }
