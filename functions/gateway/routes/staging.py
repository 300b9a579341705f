"""Sessions made into facts: proposed by the model, staged, looked through, committed, reverted."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.entities.asking import Said
from gateway.entities.processing import Processing, Session
from gateway.entities.register import Register
from gateway.entities.reversals import Reversals
from gateway.entities.staged import Staged
from gateway.entities.staging import Shown, Staging
from gateway.errors import BadRequest, NotFound
from gateway.identity.base import Authenticator, Identity
from gateway.limits.limiter import Limiter
from gateway.routes.memory import epoch_of, validated
from gateway.routes.queries import NUMBER, numbered_page_of, paged
from gateway.routes.requests import caller_of, checked_session, own, read_body, storer_of
from gateway.routes.responses import json_response

MAX_TRANSCRIPT = 1000


class _SessionBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    session_id: str = Field(
        validation_alias=AliasChoices("session_id", "session", "thread_id", "conversation_id")
    )


class SaidMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"] = "user"
    content: str = Field(min_length=1)


class ProcessSession(_SessionBody):
    """Without a `memory_input` the stored messages of the session are read."""

    memory_input: str | list[SaidMessage] | None = None
    session_date: datetime | None = None

    def session(self) -> Session:
        given, transcript = self.memory_input, None
        if isinstance(given, str):
            transcript = [Said("user", given)]
        elif given is not None:
            if not 1 <= len(given) <= MAX_TRANSCRIPT:
                raise BadRequest(
                    f"'memory_input' takes 1 to {MAX_TRANSCRIPT} messages.", param="memory_input"
                )
            transcript = [Said(one.role, one.content) for one in given]
        id = checked_session(self.session_id, "session_id")
        return Session(id, transcript, epoch_of(self.session_date))


class StagingRoutes:
    def __init__(
        self,
        door: Authenticator,
        register: Register,
        reversals: Reversals,
        staging: Staging,
        processing: Processing,
        *,
        limiter: Limiter,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._register = register
        self._reversals = reversals
        self._staging = staging
        self._processing = processing
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        staged = "/v1/memory/staging/{session}"
        commits = "/v1/memory/commits"
        return [
            Route("/v1/memory/process-session", self.process, methods=["POST"]),
            Route("/v1/memory/process-and-commit", self.process_and_commit, methods=["POST"]),
            Route("/v1/memory/commit-session", self.commit, methods=["POST"]),
            Route("/v1/memory/staging", self.waiting, methods=["GET"]),
            Route(staged, self.staged, methods=["GET"]),
            Route(staged, self.discard, methods=["DELETE"]),
            Route(f"{staged}/operations/{{operation}}", self.drop, methods=["DELETE"]),
            Route(commits, self.commits, methods=["GET"]),
            Route(f"{commits}/{{sequence}}/revert", self.revert, methods=["POST"]),
        ]

    async def process(self, request: Request) -> Response:
        """201 with what is staged. The model call counts as a chat turn does."""
        caller = await storer_of(request, self._door)
        session = validated(ProcessSession, await self._body(request, caller)).session()
        await self._processing.process(caller, session)
        return json_response(_staged(await self._staging.show(caller.owner, session.id)), 201)

    async def process_and_commit(self, request: Request) -> Response:
        caller = await storer_of(request, self._door)
        session = validated(ProcessSession, await self._body(request, caller)).session()
        commit = await self._processing.process_and_commit(caller, session)
        return json_response(commit.told())

    async def commit(self, request: Request) -> Response:
        caller = await storer_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        given = validated(_SessionBody, await self._body(request, caller)).session_id
        commit = await self._staging.commit(caller.owner, checked_session(given, "session_id"))
        return json_response(commit.told(), headers=reservation.headers())

    async def waiting(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        found = await self._staging.waiting(caller.owner)
        return json_response(paged([_waiting(one) for one in found], None))

    async def staged(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        shown = await self._staging.show(caller.owner, _session(request))
        return json_response(_staged(shown))

    async def discard(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        session = _session(request)
        await self._staging.discard(caller.owner, session)
        return json_response({"id": session, "object": "memory.staging.deleted", "deleted": True})

    async def drop(self, request: Request) -> Response:
        """What is left of the staging."""
        caller = await caller_of(request, self._door)
        session, operation = _session(request), request.path_params["operation"]
        await self._staging.drop(caller.owner, session, operation)
        return json_response(_staged(await self._staging.show(caller.owner, session)))

    async def commits(self, request: Request) -> Response:
        """The newest first."""
        caller = await caller_of(request, self._door)
        limit, before = numbered_page_of(request)
        found = await self._register.commits(caller.owner, limit=limit + 1, before=before)
        page = found[:limit]
        more = str(page[-1].sequence) if len(found) > limit else None
        return json_response(paged([one.told() for one in page], more))

    async def revert(self, request: Request) -> Response:
        caller = await caller_of(request, self._door)
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        if not NUMBER.fullmatch(sequence := request.path_params["sequence"]):
            raise NotFound("No such commit.", code="commit_not_found")
        commit = await self._reversals.revert(caller.owner, int(sequence))
        return json_response(commit.told(), headers=reservation.headers())

    async def _body(self, request: Request, caller: Identity) -> dict[str, Any]:
        return own(parse_object(await read_body(request, self._max_body_bytes)), caller)


def _session(request: Request) -> str:
    return checked_session(request.path_params["session"], "session")


def _waiting(staged: Staged) -> dict[str, Any]:
    return {
        "object": "memory.staging",
        "session_id": staged.session,
        "state": staged.state,
        "valid_from": staged.valid_from,
        "created_at": staged.created_at,
        "expires_at": staged.expires_at,
        "operations": len(staged.proposals),
    }


def _staged(shown: Shown) -> dict[str, Any]:
    staged = shown.staged
    return {
        "object": "memory.staging",
        "session_id": staged.session,
        "state": staged.state,
        "valid_from": staged.valid_from,
        "created_at": staged.created_at,
        "expires_at": staged.expires_at,
        "base_moved": shown.moved,
        "commit": staged.commit,
        "operations": [
            {
                "id": one.id,
                "op": one.operation.op,
                "entity": one.operation.entity,
                "entity_name": shown.names.get(one.operation.entity),
                "diff": diff,
            }
            for one, diff in zip(staged.proposals, shown.diffs, strict=True)
        ],
    }
