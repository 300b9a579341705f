"""What a turn may cost before it is sent, and what it did cost: for budgets and the day's totals.
Pure."""

from collections.abc import Mapping

from gateway.accounts.usage import MICROS, spent_micros
from gateway.chat.economics import Prices
from gateway.chat.turn import Turn
from gateway.limits.base import Spent

Money = Mapping[str, float | None]
"""As a receipt has it, in dollars."""


def held_cost(prices: Prices | None, tokens: int, completion: int) -> int:
    """Micro-dollars to hold for so many `tokens`, `completion` of them the answer's, nothing of
    them cached. 0 where no price is known."""
    if prices is None:
        return 0
    completion = min(completion, tokens)
    return spent_micros(prices.cost(tokens - completion, 0, completion))


def spent(turn: Turn, completion_tokens: int, money: Money | None, *, answered: bool) -> Spent:
    prompt = turn.prompt
    return Spent(
        before=prompt.tokens_before,
        after=prompt.tokens_after,
        completion=completion_tokens,
        answered=answered,
        with_memory=bool(prompt.lines),
        cost=_cost(money),
        cost_saved=_micros(money, "saved"),
    )


def _cost(money: Money | None) -> int | None:
    """The prompt as sent, with the ranking that made it, and the answer."""
    if money is None:
        return None
    return spent_micros((money["after"] or 0.0) + (money["completion"] or 0.0))


def _micros(money: Money | None, name: str) -> int | None:
    return None if money is None else round((money[name] or 0.0) * MICROS)
