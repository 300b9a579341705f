"""Which remembered messages go into the prompt, under a token budget. Pure.

Greedy by score over cost: a long message must be worth its tokens, though a quarter power keeps a
slightly shorter one from passing a much better one (tests/benchmarks/selection.py). A chunk goes in
whole unless it would take an eighth of the budget; then its messages compete one by one. What room
is left goes to the questions of answers chosen without them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.retrieval.base import COST_POWER, FLOOR, RELATIVE, Passage, Scored, nothing
from gateway.retrieval.basket import Basket
from gateway.retrieval.contradictions import later_first
from gateway.retrieval.neighbours import questions
from gateway.retrieval.offers import Line, Offer, least_of, lines_of, offers


@dataclass(frozen=True, slots=True)
class Selected:
    """A message to send; rank 1 has the best score of those selected."""

    passage: Passage
    score: float
    rank: int


def select(
    scored: Sequence[Scored],
    *,
    budget_tokens: int,
    top_k: int,
    floor: float = FLOOR,
    relative: float = RELATIVE,
    cost_power: float = COST_POWER,
    in_hand: Callable[[Passage], bool] = nothing,
    overhead_tokens: int = 0,
) -> list[Selected]:
    """At most `top_k` chunks' messages within `budget_tokens`, in time order, none twice.

    A message costs its tokens and `overhead_tokens`. Those that `in_hand` holds true of stay out
    and lend their chunk no score. The order of `scored` does not matter; `floor`, `relative` and
    `cost_power` are as in `Scale`.
    """
    basket = Basket(budget_tokens, top_k)
    least = least_of(scored, in_hand, floor, relative)
    worthy = (one for one in scored if one.score >= least)
    chunks = list(lines_of(worthy, in_hand, overhead_tokens))
    offered = later_first(list(offers(chunks, least, cost_power, budget_tokens)))
    for offer in sorted(offered, key=Offer.order):
        basket.take(offer)
    for offer in questions(basket.lines, chunks, budget_tokens):
        basket.take(offer)
    return _in_time_order(basket.lines)


def _in_time_order(lines: Sequence[Line]) -> list[Selected]:
    by_score = sorted(lines, key=lambda line: line.age, reverse=True)
    by_score.sort(key=lambda line: -line.score)
    ranks = {line.passage.id: rank for rank, line in enumerate(by_score, start=1)}
    return [
        Selected(line.passage, line.score, ranks[line.passage.id])
        for line in sorted(lines, key=lambda line: line.age)
    ]
