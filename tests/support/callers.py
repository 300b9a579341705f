"""Who asks an engine, about what, and what a test wants to know of it."""

from collections.abc import Callable

from retriever_contract.wire import ForgetRequest, RankAnswer
from support.engines import Bench, prefill_request

Make = Callable[..., Bench]

OWNERS = [letter * 16 for letter in "abcdef"]
TEXTS = (
    "user: the cat sleeps on the warm stove in winter",
    "assistant: that sounds cosy, and does she stay there at night?",
    "user: no, at night she is out on the roofs of the town",
)
MORE = "user: and in summer she sleeps in the garden"
LONG = tuple(f"{i} {text}" for i in range(6) for text in TEXTS)


def scores(answer: RankAnswer) -> list[float]:
    return [one.score for one in answer.scores[0]]


def forget(owner: str, epoch: int = 0) -> ForgetRequest:
    return ForgetRequest(owner=owner, epoch=epoch)


def windows(desk: Bench) -> int:
    figures = desk.engine.health().cache
    assert figures is not None
    return figures.windows


async def as_awaitable(prefill: Callable[..., object], texts: tuple[str, ...]) -> None:
    prefill(prefill_request(texts))
