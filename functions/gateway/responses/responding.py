"""`/v1/responses`: a turn like any other, once it is sure that all it names is the caller's own."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.chat.call import Call
from gateway.chat.names import Names
from gateway.chat.pipeline import Pipeline
from gateway.chat.replies import Reply
from gateway.errors import GatewayError, NotFound
from gateway.identity.base import Identity
from gateway.limits.limiter import Limiter
from gateway.responses.dialect import Responses
from gateway.responses.foreign import Named, named
from gateway.responses.wire import ResponsesRequest


class Responding:
    def __init__(self, pipeline: Pipeline, names: Names, limiter: Limiter) -> None:
        self._pipeline = pipeline
        self._names = names
        self._limiter = limiter

    async def respond(self, caller: Identity, request: ResponsesRequest, call: Call) -> Reply:
        """Items that no memory can make sense of go through with memory off."""
        session = await self._session(caller, named(request.payload))
        call = replace(call, dialect=Responses(request), session=call.session or session)
        if request.mapped:
            return await self._completed(caller, request, call)
        reply = await self._completed(caller, request, replace(call, mode="off"))
        headers = {**reply.headers, "x-memory-retriever": "none; reason=unknown-item"}
        return replace(reply, headers=headers)

    async def _completed(self, caller: Identity, request: ResponsesRequest, call: Call) -> Reply:
        """With what is wrong with a message said of the input it came in."""
        try:
            return await self._pipeline.complete(caller, request, call)
        except GatewayError as error:
            if error.param and error.param.startswith("messages"):
                error.param = "input"
            raise

    async def _session(self, caller: Identity, names: Sequence[Named]) -> str | None:
        """Of the response that this one goes on from. Raises `NotFound` for a name that was not
        given to this person: a guess costs a request."""
        if not names:
            return None
        self._limiter.refuse_known(caller.subject, 0, caller.key)
        ids = list(dict.fromkeys(one.id for one in names))
        found = await self._names.found(caller.owner, caller.subject, ids)
        missing = next((one for one in names if one.id not in found), None)
        if missing is None:
            chained = names[0].param == "previous_response_id"
            return (found[names[0].id] or None) if chained else None
        await self._limiter.admit(caller.subject, 0, caller.key)
        raise _not_found(missing)


def _not_found(name: Named) -> NotFound:
    """As OpenAI words it; of reasoning, with what can be done."""
    if name.param == "previous_response_id":
        code = "previous_response_not_found"
        return NotFound("Previous response not found.", param=name.param, code=code)
    return NotFound(
        "Item not found; send reasoning with its encrypted_content.",
        param=name.param,
        code="item_not_found",
    )
