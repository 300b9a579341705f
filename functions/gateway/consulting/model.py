"""The upstream model, asked by the gateway itself for JSON, on the caller's own limits.

Never called on a chat turn. The tokens count as a chat turn's do: held before the call, settled
after it. An answer that is not valid is asked for once more, told why.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from gateway.consulting.answers import InvalidAnswer
from gateway.errors import Unavailable, UpstreamFailed
from gateway.identity.base import Identity
from gateway.limits.limiter import Limiter
from gateway.tokens.base import Tokenizer
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse

TRIES = 2
ANSWER_TOKENS = 4000
ANSWER_BYTES = 1024 * 1024
MESSAGE_TOKENS = 4
HEADERS = {"content-type": "application/json", "accept": "application/json"}
AGAIN = "That was not valid: {reason} Answer again with the JSON object alone."

Message = Mapping[str, str]
Read = TypeVar("Read")


class Model:
    """`name` is the upstream's name of the model that is asked."""

    def __init__(
        self, upstream: Upstream, limiter: Limiter, tokenizer: Tokenizer, name: str
    ) -> None:
        self._upstream = upstream
        self._limiter = limiter
        self._tokenizer = tokenizer
        self._name = name

    @property
    def configured(self) -> bool:
        return self._upstream.answers_are_memories

    def count(self, text: str) -> int:
        return self._tokenizer.count(text)

    def admit(self, caller: Identity) -> None:
        """Raises `Unavailable` without a model, and where the caller is known to be refused."""
        if not self.configured:
            raise Unavailable("Set UPSTREAM_BASE: no model is configured.", code="no_model")
        self._limiter.refuse_known(caller.subject, 0)

    async def ask(
        self,
        caller: Identity,
        messages: Sequence[Message],
        read: Callable[[str], Read],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Read:
        """What `read` makes of the answer.

        Raises `InvalidAnswer` where `read` did for two answers, `UpstreamFailed`,
        `UpstreamTimedOut`, and what the limiter raises.
        """
        held = self._held(messages, answer_tokens)
        reservation = await self._limiter.admit(caller.subject, held)
        used = 0
        try:
            for attempt in range(TRIES):
                if attempt:
                    more = used + self._held(messages, answer_tokens)
                    reservation = await self._limiter.extend(reservation, more)
                text, tokens = await self._answer(messages, answer_tokens)
                used += tokens
                try:
                    return read(text)
                except InvalidAnswer as invalid:
                    last = invalid
                    reason = AGAIN.format(reason=invalid.reason)
                    messages = [*messages, said("assistant", text), said("user", reason)]
            raise last
        finally:
            await asyncio.shield(asyncio.ensure_future(self._limiter.settle(reservation, used)))

    def _held(self, messages: Sequence[Message], answer_tokens: int) -> int:
        """What to reserve: no guess at the answer makes a request too large."""
        sure, limit = self._tokens(messages), self._limiter.limits.tokens_per_minute
        room = max(0, limit - sure) if limit else answer_tokens
        return sure + min(answer_tokens, room)

    def _tokens(self, messages: Sequence[Message]) -> int:
        return sum(MESSAGE_TOKENS + self.count(one["content"]) for one in messages)

    async def _answer(self, messages: Sequence[Message], answer_tokens: int) -> tuple[str, int]:
        """The answer's text, and the tokens that it cost."""
        body = {
            "model": self._name,
            "messages": list(messages),
            "response_format": {"type": "json_object"},
            "max_completion_tokens": answer_tokens,
        }
        request = UpstreamRequest(
            "POST", "chat/completions", HEADERS, orjson.dumps(body), self._name
        )
        response = await self._upstream.send(request)
        try:
            whole = await _read(response)
        finally:
            await response.close()
        if response.status != 200:
            raise UpstreamFailed(f"The upstream answered with status {response.status}.")
        text = _text(whole)
        counted = self._tokens(messages) + self.count(text)
        return text, _total_tokens(whole) or counted


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


async def _read(response: UpstreamResponse) -> Any:
    """The body as JSON, None where it is none. Raises `UpstreamFailed` for an endless one."""
    pieces, size = [], 0
    async for piece in response.chunks():
        size += len(piece)
        if size > ANSWER_BYTES:
            raise UpstreamFailed("The upstream's answer is too long.")
        pieces.append(piece)
    try:
        return orjson.loads(b"".join(pieces))
    except orjson.JSONDecodeError:
        return None


def _text(completion: Any) -> str:
    try:
        text = completion["choices"][0]["message"]["content"]
    except (TypeError, KeyError, IndexError):
        raise UpstreamFailed("The upstream's answer is not a chat completion.") from None
    return text if isinstance(text, str) else ""


def _total_tokens(completion: Any) -> int | None:
    usage = completion.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else None
