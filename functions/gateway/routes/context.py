"""What an application puts into its own prompt: the memory, as deep as it asks."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.context.context import Answer, Asked, Context
from gateway.identity.base import Authenticator
from gateway.limits.limiter import Limiter
from gateway.routes.conversations import GIVEN, Conversation, query_of
from gateway.routes.memory import epoch_of, validated
from gateway.routes.requests import caller_of, own, read_body
from gateway.routes.responses import json_response

MOST_BUDGET = 200_000


class ContextRequest(BaseModel):
    """`budget` is in tokens. Without a `conversation` the strongest is what counts."""

    model_config = ConfigDict(extra="forbid")

    conversation: Conversation = Field("", validation_alias=GIVEN)
    depth: Literal["basic", "wide", "deep", "temporal"] = "basic"
    as_of: datetime | None = None
    known_at: datetime | None = None
    budget: int | None = Field(None, ge=0, le=MOST_BUDGET)

    def asked(self, budget: int) -> Asked:
        return Asked(
            query=query_of(self.conversation),
            depth=self.depth,
            budget=budget if self.budget is None else self.budget,
            as_of=epoch_of(self.as_of),
            known_at=epoch_of(self.known_at),
        )


class ContextRoutes:
    """`budget` is that of a request which names none."""

    def __init__(
        self,
        door: Authenticator,
        context: Context,
        *,
        limiter: Limiter,
        budget: int,
        max_body_bytes: int,
    ) -> None:
        self._door = door
        self._context = context
        self._limiter = limiter
        self._budget = budget
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        return [Route("/v1/memory/context", self.context, methods=["POST"])]

    async def context(self, request: Request) -> Response:
        caller = await caller_of(request, self._door, "reader")
        reservation = await self._limiter.admit(caller.subject, 0, caller.key)
        body = own(parse_object(await read_body(request, self._max_body_bytes)), caller)
        asked = validated(ContextRequest, body).asked(self._budget)
        answer = await self._context.build(caller.owner, asked)
        return json_response(_told(asked, answer), headers=reservation.headers())


def _told(asked: Asked, answer: Answer) -> dict[str, Any]:
    return {
        "object": "memory.context",
        "depth": asked.depth,
        "as_of": answer.as_of,
        "known_at": asked.known_at,
        "budget": asked.budget,
        "tokens": answer.packed.tokens,
        "text": answer.packed.text,
        **answer.packed.told(),
        "left_out": [asdict(one) for one in answer.left_out],
        "retriever": answer.retriever,
    }
