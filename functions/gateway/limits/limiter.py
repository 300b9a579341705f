"""Admits requests under the limits, with one document write each. Knows no HTTP and no tokenizer.

A request counts itself and reads the window in the same write (`quota.py` says why that is exact
across processes); those of a subject that come at once share one (`merged.py`). A refused one gives
its units back, and what the window then held is remembered: until enough of it has left, requests
that cannot fit are refused from memory and cost no write.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Literal

import orjson

from gateway.accounts.key import Key
from gateway.documents.base import Add, Documents, StoreUnavailable
from gateway.errors import RateLimited, Unavailable
from gateway.limits.base import NOTHING, Counters, Limits, Reservation, Spent
from gateway.limits.fallback import LocalCounters
from gateway.limits.grants import Grant, Grants, key_name, refuse_impossible, subject_name
from gateway.limits.headers import Standing, standing_headers
from gateway.limits.history import History
from gateway.limits.merged import MergedCounters
from gateway.limits.overrides import Overrides
from gateway.limits.quota import Quota, path_of
from gateway.limits.recent import Recent
from gateway.limits.refusal import Refusal
from gateway.limits.window import SUBJECT, Usage, settlement_at, usage_from
from gateway.telemetry.record import current

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
        overrides: Overrides | None = None,
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
        self.history = History(documents, clock)
        self._grants = Grants(limits, overrides, self.history)

    def tokens_per_minute(self, subject: str, key: Key | None = None) -> int:
        """The least that the caller is known to be limited to; 0 is unlimited."""
        grants = self._grants.known(subject, key, self._clock())
        return min((n for grant in grants if (n := grant.limits.tokens_per_minute)), default=0)

    async def granted(self, subject: str) -> Grant:
        """What the identity may use, and what of this month it used before today."""
        return (await self._grants.of(subject, None, self._clock()))[0]

    def refuse_known(
        self, subject: str, tokens: int, key: Key | None = None, cost: int = 0
    ) -> None:
        """Raise as `admit` would where this process knows already; costs nothing."""
        now = self._clock()
        grants = self._grants.known(subject, key, now)
        refuse_impossible(grants, tokens)
        if self._refused:
            self._refuse_remembered(self._quotas(grants, tokens, cost, now), now)

    async def admit(
        self, subject: str, tokens: int, key: Key | None = None, cost: int = 0
    ) -> Reservation:
        """Count one request of `tokens` estimated tokens, and let it pass.

        It may `cost` so many micro-dollars; with a `key` that has limits of its own, they count
        too. Raises `TooLarge` for what could never pass, `RateLimited` with the true wait, and
        `Unavailable` when the store is away and the limiter fails closed.
        """
        now = self._clock()
        grants = await self._granted(subject, key, now)
        refuse_impossible(grants, tokens)
        quotas = self._quotas(grants, tokens, cost, now)
        self._refuse_remembered(quotas, now)
        counters, usages = await self._count(quotas, now)
        if refusals := _refusals(quotas, usages, now, counted=True):
            usages = await self._give_back(counters, quotas, now) or usages
            raise self._refused_now(quotas, usages, refusals, now)
        counted = counters is self._counters
        current().limiter = "admitted" if counted else "failed-open"
        return Reservation(
            subject,
            tokens,
            now,
            counted,
            _standings(quotas, usages),
            self.limits.warning_share,
            cost,
            key if len(grants) > 1 else None,
        )

    async def extend(self, reservation: Reservation, tokens: int, cost: int = 0) -> Reservation:
        """Hold `tokens` instead of fewer: the prompt turned out larger than its bound.

        Raises as `admit` does; the reservation itself then still stands.
        """
        now = self._clock()
        grants = self._grants.known(reservation.subject, reservation.key, now)
        refuse_impossible(grants, tokens)
        dearer = max(cost, reservation.cost)
        if tokens <= reservation.tokens or not reservation.counted:
            return replace(reservation, tokens=max(tokens, reservation.tokens))
        more, further = tokens - reservation.tokens, dearer - reservation.cost
        quotas = [grant.rest(more, further) for grant in grants]
        counters, usages = await self._count(quotas, now)
        if refusals := _refusals(quotas, usages, now, counted=True):
            await self._give_back(counters, quotas, now)
            raise self._error(_longest(refusals), (), now)
        if counters is not self._counters:
            return reservation  # the settlement corrects what the store holds
        return replace(reservation, tokens=tokens, cost=dearer)

    def settlement(
        self, reservation: Reservation, tokens_used: int, spent: Spent = NOTHING
    ) -> list[Add]:
        """The writes that correct what is reserved to what was used, for the turn's own commit:
        one, and one more for a key with limits of its own. What was `spent` rides along.

        With no tokens used, as after an upstream's error, they all return; the request never does.
        """
        tokens, cost = reservation.tokens, reservation.cost
        if not reservation.counted:
            tokens = cost = 0
        part = settlement_at(
            self._clock(), reservation.admitted_at, tokens, tokens_used, spent.totals(cost)
        )
        if part is None:
            return []
        names = [subject_name(reservation.subject)]
        if reservation.key is not None:
            names.append(key_name(reservation.key))
        if tokens_used < tokens or (spent.cost or 0) < cost:
            for name in names:
                self._refused.forget(name)  # there is room again that memory does not know of
        # This may be the first write of a day.
        labels: tuple[dict[str, str], ...] = ({SUBJECT: reservation.subject}, {})
        return [
            Add(path_of(part.day, name), part.amounts, expires_at=part.expires_at, labels=whose)
            for name, whose in zip(names, labels, strict=False)
        ]

    async def settle(
        self, reservation: Reservation, tokens_used: int, spent: Spent = NOTHING
    ) -> None:
        """Commit the settlement alone. A store that is away is counted in `lost_writes`."""
        writes = self.settlement(reservation, tokens_used, spent)
        if not writes:
            return
        try:
            await self._documents.commit(*writes)
        except StoreUnavailable:
            self.lost_writes += 1

    async def _granted(self, subject: str, key: Key | None, now: float) -> list[Grant]:
        """What is known while the store is away: the count that follows says what that means."""
        try:
            return await self._grants.of(subject, key, now)
        except StoreUnavailable:
            return self._grants.known(subject, key, now)

    def _quotas(self, grants: Sequence[Grant], tokens: int, cost: int, now: float) -> list[Quota]:
        own = [grant.quota(tokens, cost) for grant in grants]
        shards = self._shards()
        return [*own, self._pick(shards, now)] if shards else own

    def _shards(self) -> list[Quota]:
        granted = self.limits.per_shard() if self.limits.global_requests_per_minute else []
        return [
            Quota(f"global/{shard}", {"requests": 1}, {"requests": limit})
            for shard, limit in enumerate(granted)
        ]

    def _pick(self, shards: Sequence[Quota], now: float) -> Quota:
        """Any shard not known to be full; else the one that has room first."""
        if not self._refused:
            return self._randomness.choice(shards)
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
        if not self._refused:
            return
        refusals = [each for quota in quotas for each in self._remembered_refusals(quota, now)]
        if refusals:
            known = ((quota, self._refused.get(quota.name)) for quota in quotas)
            found = [(quota, usage) for quota, usage in known if usage]
            standings = _standings([quota for quota, _ in found], [usage for _, usage in found])
            raise self._error(_longest(refusals), standings, now)

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
        return self._error(_longest(standing), _standings(quotas, usages), now)

    def _with_any_shard(self, refusal: Refusal, now: float) -> Refusal:
        if refusal.kind != "service":
            return refusal
        soonest = min(self._remembered_wait(shard, now) for shard in self._shards())
        return replace(refusal, wait_seconds=soonest)

    def _error(self, refusal: Refusal, standings: Sequence[Standing], now: float) -> RateLimited:
        return refusal.error(standing_headers(standings, now, self.limits.warning_share))


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


def _standings(quotas: Sequence[Quota], usages: Sequence[Usage]) -> tuple[Standing, ...]:
    """Those of the caller; what the whole service uses is not told."""
    return tuple(
        Standing(quota.per_minute, usage, quota.budgets)
        for quota, usage in zip(quotas, usages, strict=True)
        if not quota.of_service
    )
