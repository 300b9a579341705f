"""What is known of the tier from the calls there were: whether it speaks, how long the way is, what
it can. Asks nobody, wakes nothing.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.breaker import Breaker, Permit
from gateway.retrieval.base import Standing
from gateway.retrieval.overhead import Overhead
from gateway.retrieval.tier import Missing
from retriever_contract.wire import RankAnswer

DEADLINE_SHARE = 0.9  # of what the way leaves: being told that it is late is an answer too
HEARD_SECONDS = 60.0  # since when silence is no longer mere lateness

Answer = TypeVar("Answer")


class Hearing:
    """`timer` measures; `clock` tells the time of day, for `standing` alone."""

    def __init__(self, timer: Callable[[], float], clock: Callable[[], float]) -> None:
        self._timer = timer
        self._clock = clock
        self._breaker = Breaker(timer)
        self._overhead = Overhead()
        self._heard_at = -math.inf
        self._answered_in: float | None = None
        self.embeds = False  # whether the tier said so

    @property
    def is_open(self) -> bool:
        """The circuit is: who may do without does not ask."""
        return not self._breaker.closed

    def seconds_within(self, patience: float) -> float:
        """What the tier may take of them: the way has its part."""
        return DEADLINE_SHARE * (patience - self._overhead.within(patience))

    async def ranking(
        self, call: Callable[[float], Awaitable[RankAnswer]], ends: float
    ) -> RankAnswer:
        """The answer of a `call` that is told how many seconds are left. Raises Missing."""
        permit = self._breaker.admit()
        if permit is None:
            raise Missing("circuit-open")
        try:
            answer = await self._measured(call, ends)
        except Missing as missing:
            self._verdict(missing)(permit)
            raise
        except BaseException:  # the caller has left
            self._breaker.abandoned(permit)
            raise
        self._breaker.answered(permit)
        return answer

    async def of(self, call: Awaitable[Answer]) -> Answer:
        """The call's answer; notes that the tier spoke, whatever it said. Raises Missing."""
        try:
            answer = await call
        except Missing as missing:
            if missing.told:
                self._heard_at = self._timer()
            raise
        self._heard_at = self._timer()
        return answer

    def standing(self) -> Standing:
        heard = self._heard_at > -math.inf
        if self.is_open:
            return self._stands(False, "the circuit is open: shared words rank meanwhile")
        if not heard:
            return self._stands(None, "not heard of yet by this instance")
        return self._stands(True, "answers")

    async def _measured(
        self, call: Callable[[float], Awaitable[RankAnswer]], ends: float
    ) -> RankAnswer:
        """The answer, and by the way how long the way is."""
        started = self._timer()
        patience = max(0.0, ends - started)
        try:
            answer = await self.of(call(patience))
        except Missing as missing:
            self.embeds = self.embeds or missing.embeds
            if missing.silent:
                self._overhead.missed(patience)
            raise
        self._answered_in = self._timer() - started
        self.embeds = answer.facts.embedding is not None
        self._overhead.measured(self._answered_in, answer.work.seconds)
        return answer

    def _verdict(self, missing: Missing) -> Callable[[Permit], None]:
        """Silence is lateness where the tier was heard of lately."""
        lately = self._timer() - self._heard_at <= HEARD_SECONDS
        if missing.silent and lately:
            return self._breaker.late
        broken = missing.broken or missing.silent
        return self._breaker.failed if broken else self._breaker.answered

    def _stands(self, reachable: bool | None, detail: str) -> Standing:
        ago = self._timer() - self._heard_at
        heard_at = self._clock() - ago if math.isfinite(ago) else None
        return Standing(reachable, detail, heard_at, self._answered_in)
