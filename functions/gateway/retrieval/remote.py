"""Ranking by the GPU tier where it pays and is there; by shared words in every other case.

Never fails a turn: a tier that is away, slow, full or lying costs what is left of the deadline at
most, and once the breaker is open nothing. `outcomes` counts how each call came out; what no
answer tells of, a prefill or a forgetting that failed, is a line of the log too, with its count.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from gateway.retrieval.base import (
    FLOOR,
    Forgotten,
    Passage,
    Question,
    Ranking,
    Shortfall,
    Standing,
)
from gateway.retrieval.fusion import REMOTE, Fused, Weighing, fuse
from gateway.retrieval.hearing import Hearing
from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.request import forget_request, naming_all, prefill_request, rank_request
from gateway.retrieval.tier import Missing, Reason, Tier, likeness_of, scores_of
from gateway.retrieval.windows import beyond, choose, cut, cut_run, message_scores, whole
from retriever_contract.wire import Facts, RankAnswer, RankRequest

logger = logging.getLogger(__name__)

FORGET_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Below `small_tokens` of candidates no GPU is asked; above `max_tokens` some are not sent.

    `cache_seconds` is how long the tier may keep what it read, unless it says so itself.
    """

    deadline_seconds: float = 2.0
    window_tokens: int = 1800
    max_tokens: int = 32_000
    small_tokens: int = 3000
    cache_seconds: float = 600.0
    floor: float = FLOOR


class RemoteRanker:
    """`timer` measures; `clock` tells the time of day, for `standing` alone."""

    def __init__(
        self,
        tier: Tier,
        options: RemoteOptions,
        timer: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tier = tier
        self.client = tier.client
        self._options = options
        self._timer = timer
        self._lexical = LexicalRanker(options.floor)
        self._hearing = Hearing(timer, clock)
        self.outcomes: Counter[str] = Counter()

    async def rank(self, question: Question) -> Ranking:
        began = self._timer()
        ends = began + self._options.deadline_seconds
        lexical = self._lexical.ordered(question, "")
        try:
            answer = await self._answer(question, lexical, ends)
        except Missing as missing:
            self.outcomes[missing.reason] += 1
            return self._without(lexical, missing.reason)
        self.outcomes[REMOTE] += 1
        fused = self._fused(question, lexical, answer)
        worked = min(max(0.0, answer.work.seconds), self._timer() - began)
        return Ranking(
            fused.scored, REMOTE, fused.scale, ranks=fused.ranks, warms=True, seconds=worked
        )

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        """Sends the open window alone. A tier that is away is not asked: it is no probe."""
        windows = cut_run(passages, self._options.window_tokens)[-1:]
        chosen = [worded for _, worded in choose(windows, (), self._options.max_tokens)]
        if not chosen or self._hearing.is_open:
            return
        request = prefill_request(owner, epoch, chosen)
        try:
            await self._hearing.of(self._tier.prefill(request, self._options.deadline_seconds))
        except Missing as missing:
            self._failed("prefill", missing.reason)
        else:
            self.outcomes["prefill"] += 1

    async def forget(self, owner: str, epoch: int) -> Forgotten:
        """Asked whatever the breaker says: an erasure is rare, and a promise."""
        request = forget_request(owner, epoch)
        try:
            answer = await self._hearing.of(self._tier.forget(request, FORGET_SECONDS))
        except Missing as missing:
            self._failed("forget", missing.reason)
            return Forgotten(forgotten=False, horizon_seconds=self._options.cache_seconds)
        self.outcomes["forget"] += 1
        return Forgotten(forgotten=True, horizon_seconds=answer.horizon_seconds)

    def standing(self) -> Standing:
        """Whether the tier speaks, from the calls there were: asks nobody, wakes nothing."""
        return self._hearing.standing()

    async def _answer(self, question: Question, lexical: Ranking, ends: float) -> RankAnswer:
        request = self._request(question, lexical, ends)
        return await self._hearing.ranking(lambda left: self._tier.rank(request, left), ends)

    def _failed(self, call: Literal["prefill", "forget"], reason: Reason) -> None:
        outcome = f"{call}-{reason}"
        self.outcomes[outcome] += 1
        line = {
            "event": "retriever_failure",
            "severity": "WARNING",
            "call": call,
            "reason": reason,
            "so_far": self.outcomes[outcome],
        }
        logger.warning(orjson.dumps(line).decode())

    def _request(self, question: Question, lexical: Ranking, ends: float) -> RankRequest:
        """Raises `Missing` where asking would not pay, or nothing fits."""
        windows = cut(question.indexes, self._options.window_tokens)
        if sum(window.tokens for window in windows) <= self._options.small_tokens:
            raise Missing("small")
        chosen = choose(windows, lexical.scored, self._options.max_tokens)
        if not chosen:
            raise Missing("too-large")
        seconds = self._hearing.seconds_within(max(0.0, ends - self._timer()))
        request = rank_request(question, [worded for _, worded in chosen], seconds)
        return naming_all(request, beyond(windows, chosen)) if self._hearing.embeds else request

    def _fused(self, question: Question, lexical: Ranking, answer: RankAnswer) -> Fused:
        return fuse(
            [chunk for index in question.indexes for chunk in index.chunks],
            message_scores(lexical.scored),
            whole(scores_of(answer)),
            weighing_of(answer.facts, self._options.floor),
            question.in_hand,
            whole(likeness_of(answer)),
        )

    def _without(self, lexical: Ranking, reason: Reason) -> Ranking:
        """A small memory falls short of nothing: it is as it should be."""
        late = reason == "timeout"
        shortfall: Shortfall = "timeout" if late else "degraded"
        return Ranking(
            lexical.scored,
            f"lexical; reason={reason}",
            lexical.scale,
            shortfall=None if reason == "small" else shortfall,
            warms=late,
            seconds=None if late or reason == "invalid-answer" else 0.0,
        )


def weighing_of(facts: Facts, floor: float) -> Weighing:
    """As the tier's facts say; `floor` is that of shared words."""
    weighing = Weighing(facts.fusion_weight, floor, facts.floor)
    if facts.embedding is None:
        return weighing
    return replace(weighing, alike=facts.embedding.weight, alike_floor=facts.embedding.floor)
