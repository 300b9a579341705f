"""What a prompt costs at the upstream, with its discount for cached prefixes. Pure.

Compression that breaks the upstream's prompt cache can cost more than it saves, so savings are
stated net of that discount and of the ranking's own cost, and a prompt whose cached prefix is worth
more than the cut is left alone.
"""

from dataclasses import dataclass

MILLION = 1_000_000
HOUR_SECONDS = 3600.0
OPENAI_CACHES_FROM = 1_024  # tokens
SURELY_CACHED = 4_096  # tokens: of a shorter prefix Gemini may cache nothing; none asks for more


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, as the upstream's price list has them.

    Prefixes of fewer than `cached_from` tokens are never cached. `retriever_hour`: for an hour of
    the GPU tier's work; None when nobody said.
    """

    prompt: float
    cached_prompt: float
    completion: float
    retriever_hour: float | None = None
    cached_from: int = OPENAI_CACHES_FROM

    def prompt_cost(self, tokens: float, cached: float) -> float:
        cached = max(0, min(cached, tokens))
        return ((tokens - cached) * self.prompt + cached * self.cached_prompt) / MILLION

    def cost(self, tokens: int, cached: int, completion: int) -> float:
        return self.prompt_cost(tokens, cached) + completion * self.completion / MILLION

    def retriever_cost(self, seconds: float | None) -> float | None:
        """None when the work or its price is not known; no work costs nothing."""
        if seconds == 0:
            return 0.0
        if seconds is None or self.retriever_hour is None:
            return None
        return seconds / HOUR_SECONDS * self.retriever_hour


@dataclass(frozen=True, slots=True)
class Billed:
    """Prompt tokens, and those of them that the upstream has cached."""

    tokens: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The prompt uncut and as sent, as they would be billed; the same where nothing was changed.

    `retriever_seconds` of the GPU tier's work went into it; None when it did not say how many.
    """

    before: Billed
    after: Billed
    retriever_seconds: float | None = 0.0

    @property
    def unchanged(self) -> bool:
        return self.before == self.after


NOTHING_SENT = Forecast(Billed(0), Billed(0))


@dataclass(frozen=True, slots=True)
class Money:
    """Dollars for the prompt uncut, and for the prompt as sent with the ranking that made it.

    `retriever` is the ranking's part of `after`; None when it is not known, and then not in it.
    """

    before: float
    after: float
    retriever: float | None = 0.0

    @property
    def saved(self) -> float:
        return self.before - self.after


def compare(prices: Prices, forecast: Forecast) -> Money:
    before, after = forecast.before, forecast.after
    retriever = prices.retriever_cost(forecast.retriever_seconds)
    return Money(
        prices.prompt_cost(before.tokens, before.cached),
        prices.prompt_cost(after.tokens, after.cached) + (retriever or 0.0),
        retriever,
    )


def settled(forecast: Forecast, told: Billed) -> Forecast:
    """The forecast once the upstream has `told` what it billed.

    What was not sent is put in the upstream's own tokens, at the rate of what was. Its prefix
    counts as cached unless the cache is seen to be cold: nothing of a prefix was found that every
    upstream would have kept. So savings are rather too small than too large.
    """
    if forecast.unchanged:
        return Forecast(told, told, forecast.retriever_seconds)
    rate = told.tokens / forecast.after.tokens if forecast.after.tokens else 1.0
    cold = not told.cached and forecast.after.cached >= SURELY_CACHED
    cached = 0 if cold else round(rate * forecast.before.cached)
    before = Billed(round(rate * forecast.before.tokens), cached)
    return Forecast(before, told, forecast.retriever_seconds)


def cut_pays(prices: Prices, whole: Billed, window: Billed, block: int, turns: int) -> bool:
    """Whether a cut to `window` saves money that goes on as it is, with a `block` at each turn.

    A cut breaks the cache once and then finds its window cached, if that is long enough, until it
    moves `turns` later: the mean over those turns is held against what the `whole` costs now.
    """
    stays = window.tokens - (whole.tokens - whole.cached)  # all but what a turn brings
    sent = window.tokens + block
    first = prices.prompt_cost(sent, window.cached)
    later = prices.prompt_cost(sent, stays if stays >= prices.cached_from else 0)
    mean = (first + (turns - 1) * later) / turns
    return mean < prices.prompt_cost(whole.tokens, whole.cached)
