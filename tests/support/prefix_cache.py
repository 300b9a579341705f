"""An upstream that caches prompts by their prefix, at the granularity of tokens, and bills for it.

A prompt's tokens are those of OpenAI's chat format, as the gateway counts them. What it shares with
the beginning of an earlier prompt is cached, in whole steps, where it is long enough; nothing is
forgotten between two turns.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from rs_bpe.bpe import openai

from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS, REPLY_PRIMING_TOKENS, text_of
from gateway.upstream.base import UpstreamRequest, UpstreamResponse

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bill:
    """Prompt tokens, and how many of those came from the cache."""

    prompt: int = 0
    cached: int = 0

    @property
    def uncached(self) -> int:
        return self.prompt - self.cached

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(self.prompt + other.prompt, self.cached + other.cached)


@dataclass(frozen=True, slots=True)
class CacheRule:
    """From `least` tokens on, whole steps of `step`. None are cached where `step` is 0."""

    least: int
    step: int

    def cached(self, shared: int) -> int:
        return shared // self.step * self.step if self.step and shared >= self.least else 0


class Encoded:
    """Tokens of messages; a text that was met before costs a look-up."""

    def __init__(self) -> None:
        self._encoding = openai.o200k_base()
        self._known: dict[tuple[str, str], tuple[int, ...]] = {}

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[tuple[int, ...]]:
        """Of each message; what opens the answer is not among them."""
        return [self._message(str(one["role"]), text_of(one)) for one in messages]

    def _message(self, role: str, text: str) -> tuple[int, ...]:
        if (role, text) not in self._known:
            self._known[role, text] = (*_opening(role), *self._encoding.encode(text))
        return self._known[role, text]


def _opening(role: str) -> Iterator[int]:
    """Tokens that are no text's, others for each role."""
    place = MESSAGE_OVERHEAD_TOKENS * ("system", "developer", "user", "assistant").index(role)
    return iter(range(-1 - place, -1 - place - MESSAGE_OVERHEAD_TOKENS, -1))


class PrefixCache:
    """`bill` takes prompts of one conversation in their order; the last ones stay cached."""

    def __init__(self, rule: CacheRule, encoded: Encoded) -> None:
        self._rule = rule
        self._encoded = encoded
        self._seen: list[list[tuple[int, ...]]] = []

    def bill(self, messages: Sequence[Mapping[str, Any]]) -> Bill:
        prompt = self._encoded.prompt(messages)
        shared = max((_shared(prompt, earlier) for earlier in self._seen), default=0)
        self._seen.append(prompt)
        return Bill(sum(map(len, prompt)) + REPLY_PRIMING_TOKENS, self._rule.cached(shared))


def _shared(prompt: Sequence[tuple[int, ...]], earlier: Sequence[tuple[int, ...]]) -> int:
    """Tokens of the longest common beginning."""
    tokens = 0
    for mine, theirs in zip(prompt, earlier, strict=False):
        if mine is not theirs and mine != theirs:
            return tokens + _equal(mine, theirs)
        tokens += len(mine)
    return tokens


def _equal(mine: Sequence[int], theirs: Sequence[int]) -> int:
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(mine), len(theirs)))


class PrefixCachingUpstream:
    """Answers with `answers`, one after another; `bills` is what each of `prompts` cost."""

    answers_are_memories = True

    def __init__(self, cache: PrefixCache, answers: Iterator[str]) -> None:
        self.bills: list[Bill] = []
        self.prompts: list[list[Json]] = []
        self._cache = cache
        self._answers = answers

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        messages = orjson.loads(request.body)["messages"]
        bill = self._cache.bill(messages)
        self.prompts.append(messages)
        self.bills.append(bill)
        message = {"role": "assistant", "content": next(self._answers)}
        usage = {
            "prompt_tokens": bill.prompt,
            "completion_tokens": 1,
            "total_tokens": bill.prompt + 1,
            "prompt_tokens_details": {"cached_tokens": bill.cached},
        }
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return CannedResponse(orjson.dumps({"choices": [choice], "usage": usage}))

    async def close(self) -> None:
        pass


class CannedResponse:
    def __init__(self, body: bytes) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self) -> bytes:
        return self._body

    async def close(self) -> None:
        pass
