"""`/v1/embeddings`: passed through byte for byte, with its tokens and their price counted.

Nothing is remembered, and nothing looked up. Follows
https://platform.openai.com/docs/api-reference/embeddings/create.
"""

import asyncio
from typing import Any

import orjson

from gateway.chat.call import Call
from gateway.chat.models import Models
from gateway.chat.replies import Reply, passed_back, refused
from gateway.chat.spending import held_cost
from gateway.chat.wire import LARGE_BYTES, MAX_MODEL_CHARACTERS, parse_object
from gateway.errors import BadRequest, UpstreamFailed
from gateway.identity.base import Identity
from gateway.limits.base import Spent
from gateway.limits.limiter import Limiter
from gateway.telemetry.record import current
from gateway.tokens.base import Tokenizer
from gateway.upstream.asking import asked
from gateway.upstream.base import Upstream, UpstreamRequest

MAX_INPUTS = 20_000
WRONG_INPUT = (
    "'input' must be a string, an array of strings, an array of tokens or an array of those."
)


class Embedding:
    def __init__(
        self, limiter: Limiter, upstream: Upstream, tokenizer: Tokenizer, models: Models
    ) -> None:
        self._limiter = limiter
        self._upstream = upstream
        self._tokenizer = tokenizer
        self._models = models

    async def embed(self, caller: Identity, body: bytes, call: Call) -> Reply:
        """The upstream's answer, whatever it is. Raises what the limiter and the upstream raise."""
        payload = parse_object(body)
        model, texts, tokens = _model(payload), *_inputs(payload.get("input"))
        current().asks(model)
        if len(body) < LARGE_BYTES:
            tokens += self._count(texts)
        else:
            tokens += await asyncio.to_thread(self._count, texts)
        prices = (await self._models.known(model)).prices
        cost = held_cost(prices, tokens, 0)
        reservation = await self._limiter.admit(caller.subject, tokens, caller.key, cost)
        request = UpstreamRequest("POST", "embeddings", call.forwarded, body, model, call.abandoned)
        used = 0
        try:
            status, headers, answer = await self._answer(request)
            if status == 200:
                used = _billed(answer, tokens)
        finally:
            spent = Spent(cost=held_cost(prices, used, 0) if prices else None)
            await asyncio.shield(self._limiter.settle(reservation, used, spent))
        headers = {**passed_back(headers), **reservation.headers(), "x-memory-status": "off"}
        if status != 200:
            return refused(status, headers, answer, as_it_is=True)
        return Reply(200, headers, answer)

    async def _answer(self, request: UpstreamRequest) -> tuple[int, dict[str, str], bytes]:
        response = await asked(self._upstream, request)
        try:
            body = await response.read()
        finally:
            await response.close()
        if response.status < 200:
            raise UpstreamFailed(f"The upstream answered {response.status}.")
        return response.status, dict(response.headers), body

    def _count(self, texts: list[str]) -> int:
        return sum(map(self._tokenizer.count, texts))


def _model(payload: dict[str, Any]) -> str:
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("You must provide a model.", param="model")
    if len(model) > MAX_MODEL_CHARACTERS:
        raise BadRequest(f"'model' takes {MAX_MODEL_CHARACTERS} characters.", param="model")
    return model


def _inputs(given: Any) -> tuple[list[str], int]:
    """Texts to be counted, and how many tokens came as such. Raises `BadRequest`."""
    inputs = given if isinstance(given, list) else [given]
    if not inputs or len(inputs) > MAX_INPUTS:
        raise BadRequest(f"'input' takes 1 to {MAX_INPUTS} inputs.", param="input")
    texts, tokens = list[str](), 0
    for one in inputs:
        if isinstance(one, str):
            texts.append(one)
        elif _is_token(one) and isinstance(given, list):
            tokens += 1
        elif isinstance(one, list) and one and all(map(_is_token, one)):
            tokens += len(one)
        else:
            raise BadRequest(WRONG_INPUT, param="input")
    return texts, tokens


def _is_token(one: Any) -> bool:
    return isinstance(one, int) and not isinstance(one, bool)


def _billed(answer: bytes, counted: int) -> int:
    """As the upstream says, where it does."""
    try:
        usage = orjson.loads(answer)["usage"]
        total = usage["total_tokens"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return counted
    return (
        total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else counted
    )
