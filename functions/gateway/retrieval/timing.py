"""A ranking with its seconds noted, under the name of who ranked."""

from gateway.retrieval.base import Question, Ranker, Ranking
from gateway.telemetry.record import current
from gateway.telemetry.stages import RankingTimer


async def timed(ranker: Ranker, question: Question) -> Ranking:
    timer = RankingTimer(current())
    ranking = await ranker.rank(question)
    timer.stop(ranking.retriever)
    return ranking
