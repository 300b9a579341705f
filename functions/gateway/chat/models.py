"""What is known of the model that a request names: what it reads, what it costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.chat.economics import Prices
from gateway.errors import BadRequest
from gateway.upstream.models import ListPrice, ModelFacts

# Other tokenizers than ours count up to so much less of the same text: what is longer than this
# fits for none of them.
TOLERANCE = 1.25


class Facts(Protocol):
    async def facts(self, model: str) -> ModelFacts:
        """Never fails: what cannot be learnt is not known."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """`configured` for its upstream, or as the upstream itself lists it; `otherwise` that of the
    settings, the same for all.

    `retriever_hour` and `cached_from` as in `Prices`: no upstream lists them.
    """

    otherwise: Prices | None = None
    retriever_hour: float | None = None
    cached_from: int = 0
    configured: Callable[[str], ListPrice | None] = lambda _: None

    def of(self, model: str, facts: ModelFacts) -> Prices | None:
        if (listed := self.configured(model) or facts.price) is None:
            return self.otherwise
        cached = listed.prompt if listed.cached_prompt is None else listed.cached_prompt
        return Prices(
            listed.prompt, cached, listed.completion, self.retriever_hour, self.cached_from
        )


@dataclass(frozen=True, slots=True)
class KnownModel:
    context_length: int | None = None
    prices: Prices | None = None

    def takes(self, tokens: int) -> bool:
        """False only where the tokens cannot fit, whoever counts them."""
        return self.context_length is None or tokens <= TOLERANCE * self.context_length

    def too_long(self, tokens: int) -> BadRequest:
        """OpenAI's own words, which clients look for."""
        return BadRequest(
            f"This model's maximum context length is {self.context_length} tokens. However, your"
            f" messages resulted in {tokens} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )


class Models:
    def __init__(self, facts: Facts | None, prices: PriceList) -> None:
        self._facts = facts
        self._prices = prices

    async def known(self, model: str) -> KnownModel:
        facts = ModelFacts() if self._facts is None else await self._facts.facts(model)
        return KnownModel(facts.context_length, self._prices.of(model, facts))
