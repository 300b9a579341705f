"""Ranking by the GPU tier where it pays and is there; by shared words in every other case.

Never fails a turn: a tier that is away, slow, full or lying costs what is left of the deadline at
most, and once the breaker is open nothing. `outcomes` counts how each call came out.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.retrieval.base import FLOOR, Forgotten, Passage, Question, Ranking, Shortfall
from gateway.retrieval.breaker import Breaker
from gateway.retrieval.fusion import REMOTE, Fused, Weighing, fuse
from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.tier import Missing, Reason, Tier, scores_of
from gateway.retrieval.windows import (
    choose,
    cut,
    cut_run,
    message_scores,
    readable,
    whole,
)
from retriever_contract.wire import (
    MAX_QUERY_CHARACTERS,
    ForgetRequest,
    PrefillRequest,
    RankAnswer,
    RankRequest,
)
from retriever_contract.wire import Window as WireWindow

FORGET_SECONDS = 2.0
DEADLINE_SHARE = 0.9  # of our own patience: being told that it is late is an answer too


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Below `small_tokens` of candidates no GPU is asked; above `max_tokens` some are not sent.

    `cache_seconds` is how long the tier may keep what it read, unless it says so itself.
    """

    deadline_seconds: float = 2.0
    window_tokens: int = 1500
    max_tokens: int = 32_000
    small_tokens: int = 3000
    cache_seconds: float = 600.0
    floor: float = FLOOR


class RemoteRanker:
    def __init__(self, tier: Tier, options: RemoteOptions, timer: Callable[[], float]) -> None:
        self._tier = tier
        self._options = options
        self._timer = timer
        self._lexical = LexicalRanker(options.floor)
        self._breaker = Breaker(timer)
        self.outcomes: Counter[str] = Counter()

    async def rank(self, question: Question) -> Ranking:
        ends = self._timer() + self._options.deadline_seconds
        lexical = self._lexical.ordered(question, "")
        try:
            answer = await self._answer(question, lexical, ends)
        except Missing as missing:
            self.outcomes[missing.reason] += 1
            return self._without(lexical, missing.reason)
        self.outcomes[REMOTE] += 1
        fused = self._fused(question, lexical, answer)
        return Ranking(fused.scored, REMOTE, fused.scale, ranks=fused.ranks, warms=True)

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        """Sends the open window alone. A tier that is away is not asked: it is no probe."""
        windows = cut_run(passages, self._options.window_tokens)[-1:]
        chosen = [worded for _, worded in choose(windows, (), self._options.max_tokens)]
        if not chosen or not self._breaker.closed:
            return
        request = PrefillRequest(owner=owner_key(owner), epoch=epoch, windows=chosen)
        try:
            await self._tier.prefill(request, self._options.deadline_seconds)
        except Missing as missing:
            self.outcomes[f"prefill-{missing.reason}"] += 1
        else:
            self.outcomes["prefill"] += 1

    async def forget(self, owner: str) -> Forgotten:
        """Asked whatever the breaker says: an erasure is rare, and a promise."""
        try:
            answer = await self._tier.forget(ForgetRequest(owner=owner_key(owner)), FORGET_SECONDS)
        except Missing as missing:
            self.outcomes[f"forget-{missing.reason}"] += 1
            return Forgotten(forgotten=False, horizon_seconds=self._options.cache_seconds)
        self.outcomes["forget"] += 1
        return Forgotten(forgotten=True, horizon_seconds=answer.horizon_seconds)

    async def _answer(self, question: Question, lexical: Ranking, ends: float) -> RankAnswer:
        request = self._request(question, lexical, ends)
        permit = self._breaker.admit()
        if permit is None:
            raise Missing("circuit-open")
        try:
            answer = await self._tier.rank(request, max(0.0, ends - self._timer()))
        except Missing as missing:
            (self._breaker.failed if missing.broken else self._breaker.answered)(permit)
            raise
        except BaseException:  # the caller has left
            self._breaker.abandoned(permit)
            raise
        self._breaker.answered(permit)
        return answer

    def _request(self, question: Question, lexical: Ranking, ends: float) -> RankRequest:
        """Raises `Missing` where asking would not pay, or nothing fits."""
        windows = cut(question.indexes, self._options.window_tokens)
        if sum(window.tokens for window in windows) <= self._options.small_tokens:
            raise Missing("small")
        chosen = choose(windows, lexical.scored, self._options.max_tokens)
        if not chosen:
            raise Missing("too-large")
        seconds = DEADLINE_SHARE * (ends - self._timer())
        return rank_request(question, [worded for _, worded in chosen], seconds)

    def _fused(self, question: Question, lexical: Ranking, answer: RankAnswer) -> Fused:
        facts = answer.facts
        return fuse(
            [chunk for index in question.indexes for chunk in index.chunks],
            message_scores(lexical.scored),
            whole(scores_of(answer)),
            Weighing(facts.fusion_weight, self._options.floor, facts.floor),
            question.in_hand,
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
        )


def rank_request(question: Question, windows: list[WireWindow], seconds: float) -> RankRequest:
    """Of a long query the end is sent: a question tends to follow what it is about."""
    query = readable(question.query)[-MAX_QUERY_CHARACTERS:]
    return RankRequest(
        owner=owner_key(question.owner),
        epoch=question.epoch,
        windows=windows,
        queries=[query],
        deadline_milliseconds=max(1, int(1000 * seconds)),
    )


def owner_key(owner: str) -> str:
    """An owner's name at the tier: a digest, and not the one that names their documents."""
    named = b"memory-ops/retriever-owner/" + owner.encode("utf-8", "surrogatepass")
    return hashlib.sha256(named).hexdigest()
