"""A question for the GPU tier, and who asks it."""

from collections.abc import Callable

from gateway.retrieval.base import Question, Ranking
from gateway.retrieval.lexical import LexicalIndex, LexicalRanker
from gateway.retrieval.remote import RemoteRanker
from retrieval.passages import monologue
from support.retriever import LoopbackRetriever

Make = Callable[..., RemoteRanker]

OWNER = "google:alice@example.test"
SOON_SECONDS = 0.2
KEY, SECRET = "wk-canary", "ws-canary"
INDEX = LexicalIndex(monologue("The boat is called Vega.", "Rent is due.", "Rex likes apples."))
QUESTION = Question("What does the dog like?", [INDEX], OWNER, epoch=3)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def texts(ranking: Ranking) -> list[str]:
    return [one.chunk.passages[0].text for one in ranking.scored]


async def by_words(question: Question = QUESTION) -> Ranking:
    return await LexicalRanker().rank(question)


def deadlines(retriever: LoopbackRetriever) -> list[float]:
    """In seconds, as the tier was given them."""
    return [one.json["deadline_milliseconds"] / 1000 for one in retriever.asked("rank")]
