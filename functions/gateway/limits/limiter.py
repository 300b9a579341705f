"""Admits requests under the limits, with one document write each. Knows no HTTP and no tokenizer.

A request counts itself and reads the window in the same write (`quota.py` says why that is exact
across processes); those of a subject that come at once share one (`merged.py`). A refused one gives
its units back, and what the window then held is remembered: until enough of it has left, requests
that cannot fit are refused from memory and cost no write.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Literal

import orjson

from gateway.documents.base import Add, Documents, StoreUnavailable
from gateway.errors import RateLimited, TooLarge, Unavailable
from gateway.limits.base import Counters, Limits, Reservation
from gateway.limits.fallback import LocalCounters
from gateway.limits.headers import rate_limit_headers
from gateway.limits.merged import MergedCounters
from gateway.limits.quota import Quota, path_of
from gateway.limits.recent import Recent
from gateway.limits.refusal import Refusal
from gateway.limits.window import Usage, settlement_at, usage_from

logger = logging.getLogger(__name__)

REFUSED_KEPT = 2_048
TRUSTED_SECONDS = 65  # the window; a spent day is asked again, for another process may have settled


class Limiter:
    """`fail_opens` and `lost_writes` count what an absent store cost.

    `lost_writes`: give-backs and settlements that could not be written; their units stay counted
    until the window has passed.
    """

    def __init__(
        self,
        documents: Documents,
        clock: Callable[[], float],
        limits: Limits,
        failure: Literal["closed", "open"],
        randomness: Random,
    ) -> None:
        self.limits = limits
        self.fail_opens = 0
        self.lost_writes = 0
        self._documents = documents
        self._counters = MergedCounters(documents)
        self._clock = clock
        self._failure = failure
        self._randomness = randomness
        self._fallback = LocalCounters()
        self._refused: Recent[Usage] = Recent(REFUSED_KEPT)

    def refuse_known(self, subject: str, tokens: int) -> None:
        """Raise as `admit` would where this process knows already; costs nothing."""
        now = self._clock()
        self._refuse_impossible(tokens)
        self._refuse_remembered(self._quotas(subject, tokens, now), now)

    async def admit(self, subject: str, tokens: int) -> Reservation:
        """Count one request of `tokens` estimated tokens, and let it pass.

        Raises `TooLarge` for what could never pass, `RateLimited` with the true wait, and
        `Unavailable` when the store is away and the limiter fails closed.
        """
        self._refuse_impossible(tokens)
        now = self._clock()
        quotas = self._quotas(subject, tokens, now)
        self._refuse_remembered(quotas, now)
        counters, usages = await self._count(quotas, now)
        if refusals := _refusals(quotas, usages, now, counted=True):
            usages = await self._give_back(counters, quotas, now) or usages
            raise self._refused_now(quotas, usages, refusals, now)
        counted = counters is self._counters
        return Reservation(subject, tokens, now, counted, self.limits.per_subject(), usages[0])

    async def extend(self, reservation: Reservation, tokens: int) -> Reservation:
        """Hold `tokens` instead of fewer: the prompt turned out larger than its bound.

        Raises as `admit` does; the reservation itself then still stands.
        """
        self._refuse_impossible(tokens)
        if tokens <= reservation.tokens or not reservation.counted:
            return replace(reservation, tokens=max(tokens, reservation.tokens))
        now, more = self._clock(), tokens - reservation.tokens
        quota = Quota(
            _subject_name(reservation.subject),
            {"requests": 0, "tokens": more},
            {"tokens": self.limits.tokens_per_minute},
            self.limits.daily_token_budget,
        )
        counters, usages = await self._count([quota], now)
        if refusals := _refusals([quota], usages, now, counted=True):
            await self._give_back(counters, [quota], now)
            raise self._error(_longest(refusals), None, now)
        if counters is not self._counters:
            return reservation  # the settlement corrects what the store holds
        return replace(reservation, tokens=tokens)

    def settlement(self, reservation: Reservation, tokens_used: int) -> Add | None:
        """The write that corrects the reserved tokens to those used, for the turn's own commit.

        With no tokens used, as after an upstream's error, they all return; the request never does.
        """
        reserved = reservation.tokens if reservation.counted else 0
        part = settlement_at(self._clock(), reservation.admitted_at, reserved, tokens_used)
        if part is None:
            return None
        name = _subject_name(reservation.subject)
        if tokens_used < reserved:
            self._refused.forget(name)  # there is room again that memory does not know of
        return Add(path_of(part.day, name), part.amounts, expires_at=part.expires_at)

    async def settle(self, reservation: Reservation, tokens_used: int) -> None:
        """Commit the settlement alone. A store that is away is counted in `lost_writes`."""
        write = self.settlement(reservation, tokens_used)
        if write is None:
            return
        try:
            await self._documents.commit(write)
        except StoreUnavailable:
            self.lost_writes += 1

    def _refuse_impossible(self, tokens: int) -> None:
        limit = self.limits.tokens_per_minute
        if limit and tokens > limit:
            raise TooLarge(
                f"Request too large on tokens per min (TPM): Limit {limit}, Requested {tokens}."
                " The input or output tokens must be reduced in order to run successfully."
            )

    def _quotas(self, subject: str, tokens: int, now: float) -> list[Quota]:
        own = Quota(
            _subject_name(subject),
            {"requests": 1, "tokens": tokens},
            self.limits.per_subject(),
            self.limits.daily_token_budget,
        )
        shards = self._shards()
        return [own, self._pick(shards, now)] if shards else [own]

    def _shards(self) -> list[Quota]:
        granted = self.limits.per_shard() if self.limits.global_requests_per_minute else []
        return [
            Quota(f"global/{shard}", {"requests": 1}, {"requests": limit})
            for shard, limit in enumerate(granted)
        ]

    def _pick(self, shards: Sequence[Quota], now: float) -> Quota:
        """Any shard not known to be full; else the one that has room first."""
        waits = [self._remembered_wait(shard, now) for shard in shards]
        soonest = min(waits)
        return self._randomness.choice(
            [shard for shard, wait in zip(shards, waits, strict=True) if wait == soonest]
        )

    def _remembered_wait(self, quota: Quota, now: float) -> float:
        refusals = self._remembered_refusals(quota, now)
        return max((refusal.wait_seconds for refusal in refusals), default=0.0)

    def _remembered_refusals(self, quota: Quota, now: float) -> list[Refusal]:
        usage = self._refused.get(quota.name)
        if usage is None or abs(now - usage.at) >= TRUSTED_SECONDS:  # a clock may be set back, too
            return []
        return quota.refusals(usage, now, counted=False)

    def _refuse_remembered(self, quotas: Sequence[Quota], now: float) -> None:
        refusals = [each for quota in quotas for each in self._remembered_refusals(quota, now)]
        if refusals:
            raise self._error(_longest(refusals), self._refused.get(quotas[0].name), now)

    async def _count(self, quotas: Sequence[Quota], now: float) -> tuple[Counters, list[Usage]]:
        try:
            return self._counters, await _commit(self._counters, quotas, now)
        except StoreUnavailable as error:
            if self._failure == "closed":
                raise Unavailable(
                    "The rate limiter is unavailable.",
                    code="limiter_unavailable",
                    retry_after_seconds=2,
                ) from error
            self._failed_open()
            return self._fallback, await _commit(self._fallback, quotas, now)

    def _failed_open(self) -> None:
        self.fail_opens += 1
        line = {"event": "limiter_fail_open", "severity": "WARNING", "so_far": self.fail_opens}
        logger.warning(orjson.dumps(line).decode())

    async def _give_back(
        self, counters: Counters, quotas: Sequence[Quota], now: float
    ) -> list[Usage] | None:
        """What stands without the refused request; None when the store is away meanwhile."""
        try:
            return await _commit(counters, quotas, now, sign=-1)
        except StoreUnavailable:
            self.lost_writes += 1
            return None

    def _refused_now(
        self, quotas: Sequence[Quota], usages: list[Usage], refusals: list[Refusal], now: float
    ) -> RateLimited:
        """Remember what stands and say how long it takes, others' refused requests left out."""
        standing: list[Refusal] = []
        for quota, usage in zip(quotas, usages, strict=True):
            settled = quota.without_refused(usage)
            if found := quota.refusals(settled, now, counted=False):
                self._refused.set(quota.name, settled)
                standing += [self._with_any_shard(refusal, now) for refusal in found]
        if not standing:  # what stood in the way was refused and given back itself meanwhile
            standing = [replace(refusal, wait_seconds=0.0) for refusal in refusals]
        return self._error(_longest(standing), usages[0], now)

    def _with_any_shard(self, refusal: Refusal, now: float) -> Refusal:
        if refusal.kind != "service":
            return refusal
        soonest = min(self._remembered_wait(shard, now) for shard in self._shards())
        return replace(refusal, wait_seconds=soonest)

    def _error(self, refusal: Refusal, usage: Usage | None, now: float) -> RateLimited:
        per_minute = self.limits.per_subject()
        return refusal.error(rate_limit_headers(per_minute, usage, now) if usage else {})


async def _commit(
    counters: Counters, quotas: Sequence[Quota], now: float, sign: int = 1
) -> list[Usage]:
    """All quotas counted in one commit; each one's usage after it."""
    adds = [quota.adds(now, sign) for quota in quotas]
    written = iter(await counters.commit(*(add for days in adds for add in days.values())))
    return [usage_from(now, {day: next(written).values for day in days}) for days in adds]


def _refusals(
    quotas: Sequence[Quota], usages: Sequence[Usage], now: float, *, counted: bool
) -> list[Refusal]:
    pairs = zip(quotas, usages, strict=True)
    return [each for quota, usage in pairs for each in quota.refusals(usage, now, counted=counted)]


def _longest(refusals: Sequence[Refusal]) -> Refusal:
    """Until the last of them is lifted nothing passes."""
    return max(refusals, key=lambda refusal: refusal.wait_seconds)


def _subject_name(subject: str) -> str:
    digest = base64.b32encode(hashlib.sha256(subject.encode()).digest())
    return f"subjects/{digest.decode().rstrip('=').lower()}"
