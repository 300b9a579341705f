"""The upstream model, asked by the gateway itself for JSON, on the caller's own limits.

Never called on a chat turn. The tokens count as a chat turn's do: held before the call, settled
after it. An answer that is not valid is asked for once more, told why.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from gateway.accounts.usage import spent_micros
from gateway.consulting.answers import InvalidAnswer
from gateway.errors import Unavailable, UpstreamFailed
from gateway.identity.base import Identity
from gateway.limits.base import Spent
from gateway.limits.limiter import Limiter
from gateway.tokens.base import Tokenizer
from gateway.upstream.asking import asked
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse

TRIES = 2
ANSWER_TOKENS = 4000
ANSWER_BYTES = 1024 * 1024
MESSAGE_TOKENS = 4
HEADERS = {"content-type": "application/json", "accept": "application/json"}
AGAIN = "That was not valid: {reason} Answer again with the JSON object alone."

Message = Mapping[str, str]
Cost = Callable[[int, int], float]
"""Dollars for so many tokens of prompt and of answer."""

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Paid:
    """Tokens, and micro-dollars for them; None where nobody knows the price."""

    tokens: int = 0
    micros: int | None = None

    def __add__(self, more: "Paid") -> "Paid":
        known = [one.micros for one in (self, more) if one.micros is not None]
        return Paid(self.tokens + more.tokens, sum(known) if known else None)


class Model:
    """`name` is the upstream's name of the model that is asked; `pricing` tells what it costs now,
    where that is known."""

    def __init__(
        self,
        upstream: Upstream,
        limiter: Limiter,
        tokenizer: Tokenizer,
        name: str,
        pricing: Callable[[], Awaitable[Cost | None]] | None = None,
    ) -> None:
        self._upstream = upstream
        self._limiter = limiter
        self._tokenizer = tokenizer
        self._name = name
        self._pricing = pricing

    @property
    def configured(self) -> bool:
        return self._upstream.answers_are_memories

    def count(self, text: str) -> int:
        return self._tokenizer.count(text)

    def admit(self, caller: Identity) -> None:
        """Raises `Unavailable` without a model, and where the caller is known to be refused."""
        if not self.configured:
            raise Unavailable("Set UPSTREAM_BASE: no model is configured.", code="no_model")
        self._limiter.refuse_known(caller.subject, 0, caller.key)

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
        cost = await self._pricing() if self._pricing else None
        held = self._held(caller, messages, answer_tokens, cost)
        reservation = await self._limiter.admit(
            caller.subject, held.tokens, caller.key, held.micros or 0
        )
        used = Paid()
        try:
            for attempt in range(TRIES):
                if attempt:
                    more = used + self._held(caller, messages, answer_tokens, cost)
                    reservation = await self._limiter.extend(
                        reservation, more.tokens, more.micros or 0
                    )
                text, paid = await self._answer(messages, answer_tokens, cost)
                used += paid
                try:
                    return read(text)
                except InvalidAnswer as invalid:
                    last = invalid
                    reason = AGAIN.format(reason=invalid.reason)
                    messages = [*messages, said("assistant", text), said("user", reason)]
            raise last
        finally:
            spent = Spent(cost=used.micros)
            settling = self._limiter.settle(reservation, used.tokens, spent)
            await asyncio.shield(asyncio.ensure_future(settling))

    def _held(
        self,
        caller: Identity,
        messages: Sequence[Message],
        answer_tokens: int,
        cost: Cost | None,
    ) -> Paid:
        """What to reserve: no guess at the answer makes a request too large."""
        sure = self._tokens(messages)
        limit = self._limiter.tokens_per_minute(caller.subject, caller.key)
        room = max(0, limit - sure) if limit else answer_tokens
        answer = min(answer_tokens, room)
        return _paid(sure, answer, sure + answer, cost)

    def _tokens(self, messages: Sequence[Message]) -> int:
        return sum(MESSAGE_TOKENS + self.count(one["content"]) for one in messages)

    async def _answer(
        self, messages: Sequence[Message], answer_tokens: int, cost: Cost | None
    ) -> tuple[str, Paid]:
        """The answer's text, and what it cost."""
        body = {
            "model": self._name,
            "messages": list(messages),
            "response_format": {"type": "json_object"},
            "max_completion_tokens": answer_tokens,
        }
        request = UpstreamRequest(
            "POST", "chat/completions", HEADERS, orjson.dumps(body), self._name
        )
        response = await asked(self._upstream, request)
        try:
            whole = await _read(response)
        finally:
            await response.close()
        if response.status != 200:
            raise UpstreamFailed(f"The upstream answered with status {response.status}.")
        text = _text(whole)
        prompt, answer = self._tokens(messages), self.count(text)
        told = _told_tokens(whole, "prompt_tokens"), _told_tokens(whole, "completion_tokens")
        total = _told_tokens(whole, "total_tokens") or prompt + answer
        return text, _paid(told[0] or prompt, told[1] or answer, total, cost)


def _paid(prompt: int, answer: int, total: int, cost: Cost | None) -> Paid:
    return Paid(total, None if cost is None else spent_micros(cost(prompt, answer)))


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


def _told_tokens(completion: Any, name: str) -> int | None:
    usage = completion.get("usage")
    told = usage.get(name) if isinstance(usage, dict) else None
    return told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else None
