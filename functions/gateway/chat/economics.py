"""What a prompt costs at the upstream, with its discount for cached prefixes. Pure.

Compression that breaks the upstream's prompt cache can cost more than it saves, so savings are
stated net of that discount, and a prompt whose cached prefix is worth more than the cut is left
alone.
"""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, as the upstream's price list has them."""

    prompt: float
    cached_prompt: float
    completion: float

    def prompt_cost(self, tokens: int, cached: int) -> float:
        cached = max(0, min(cached, tokens))
        return ((tokens - cached) * self.prompt + cached * self.cached_prompt) / MILLION

    def cost(self, tokens: int, cached: int, completion: int) -> float:
        return self.prompt_cost(tokens, cached) + completion * self.completion / MILLION


@dataclass(frozen=True, slots=True)
class Money:
    """Dollars for the prompt uncut and as sent."""

    before: float
    after: float

    @property
    def saved(self) -> float:
        return self.before - self.after


def compare(
    prices: Prices,
    *,
    tokens_before: int,
    cached_before: int,
    tokens_after: int,
    cached_after: int,
) -> Money:
    return Money(
        prices.prompt_cost(tokens_before, cached_before),
        prices.prompt_cost(tokens_after, cached_after),
    )
