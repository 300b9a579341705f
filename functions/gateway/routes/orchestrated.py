"""A search that the model words, over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.flags import Flags
from gateway.chat.wire import parse_object
from gateway.context.fusing import Fused
from gateway.context.orchestrated import Orchestrated, Orchestration, Synthesis
from gateway.context.queries import Spoken
from gateway.errors import BadRequest, NotFound
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.memory.recall import NEVER
from gateway.routes.conversations import GIVEN, Conversation, messages_of, query_of
from gateway.routes.memory import epoch_of, validated
from gateway.routes.requests import caller_of, checked_session, own, read_body
from gateway.routes.responses import json_response
from gateway.routes.search import MOST_HITS, hit_told
from gateway.search.search import LONG_AGO, Wanted


class OrchestratedRequest(BaseModel):
    """Filters are those of a search; `synthesize` asks for an answer with citations too."""

    model_config = ConfigDict(extra="forbid")

    conversation: Conversation = Field(validation_alias=GIVEN)
    top_k: int = Field(5, ge=1, le=MOST_HITS, validation_alias=AliasChoices("top_k", "k"))
    session_id: str | None = Field(
        None,
        validation_alias=AliasChoices("session_id", "session", "thread_id", "conversation_id"),
    )
    role: Literal["user", "assistant", "tool", "function", "developer"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    include_archived: bool = False
    synthesize: bool = False

    def wanted(self) -> Wanted:
        """Raises `BadRequest` where nothing is asked."""
        if not (query := query_of(self.conversation)):
            raise BadRequest("Nobody asks anything in this conversation.", param="conversation")
        since, until = epoch_of(self.since), epoch_of(self.until)
        if since is not None and until is not None and since >= until:
            raise BadRequest("'until' is later than 'since'.", param="until")
        session = self.session_id
        return Wanted(
            query=query,
            top_k=self.top_k,
            session=None if session is None else checked_session(session, "session_id"),
            role=self.role,
            since=LONG_AGO if since is None else since,
            until=NEVER if until is None else until,
            include_archived=self.include_archived,
        )

    def spoken(self) -> list[Spoken]:
        return [Spoken(one.role, one.text) for one in messages_of(self.conversation)]


class OrchestratedRoutes:
    def __init__(
        self,
        door: Authenticator,
        orchestration: Orchestration,
        *,
        limiter: Limiter,
        flags: Flags,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._orchestration = orchestration
        self._limiter = limiter
        self._flags = flags
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [Route("/v1/memory/orchestrated-search", self.search, methods=["POST"])]

    async def search(self, request: Request) -> Response:
        """Counts as a request, as does each call of the model."""
        caller = await caller_of(request, self._door, "reader")
        if not await self._flags.enabled("ENABLE_ORCHESTRATED_SEARCH", caller.owner):
            raise NotFound("Orchestrated search is turned off.", code="feature_disabled")
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        asked = validated(OrchestratedRequest, body)
        found = await self._orchestration.find(
            caller, asked.spoken(), asked.wanted(), synthesize=asked.synthesize
        )
        return json_response(_told(found), headers=reservation.headers())


def _told(found: Orchestrated) -> dict[str, Any]:
    worded = found.worded
    queries = [
        {
            "query": query,
            "found": len(result.hits),
            "relevant": result.relevant,
            "retriever": result.retriever,
            "searched": result.searched,
            "left_out": {**asdict(result.left_out), "matches": result.unweighed},
        }
        for query, result in zip(worded.queries, found.results, strict=True)
    ]
    return {
        "object": "memory.orchestrated_search",
        "worded_by": worded.by,
        "shortfall": worded.shortfall,
        "queries": queries,
        "data": [_hit(one, worded.queries) for one in found.hits],
        "synthesis": None if found.synthesis is None else _synthesis(found.synthesis),
    }


def _hit(one: Fused, queries: Sequence[str]) -> dict[str, Any]:
    """The score is the fused one; `queries` are the ranks by each that found it."""
    found_by = [{"query": queries[number], "rank": rank} for number, rank in one.ranks.items()]
    return {**hit_told(one.hit), "score": one.score, "queries": found_by}


def _synthesis(synthesis: Synthesis) -> dict[str, Any]:
    sentences = synthesis.sentences
    return {
        "text": None if sentences is None else " ".join(one.text for one in sentences),
        "sentences": None if sentences is None else [asdict(one) for one in sentences],
        "shortfall": synthesis.shortfall,
    }
