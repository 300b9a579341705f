"""A circuit breaker: after failures in a row nobody waits for what is away, and one asks again.

Pure: the clock is passed in, nothing is awaited. Nygard, "Release It!" (2007), chapter 5.
"""

from collections.abc import Callable
from dataclasses import dataclass

FAILURES = 3
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call. How a call ended that began in an earlier era tells nothing any more."""

    era: int


class Breaker:
    """Every permit comes back by one of `answered`, `failed`, `late` and `abandoned`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._era = 0  # one more whenever the circuit opens or closes
        self._failures = 0  # in a row
        self._pause_seconds = 0.0  # between two probes; none while closed
        self._probe_at = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        return not self._pause_seconds

    def admit(self) -> Permit | None:
        """None while the circuit is open. After the pause one call goes, and no other beside it."""
        if self.closed:
            return Permit(self._era)
        if self._probing or self._clock() < self._probe_at:
            return None
        self._probing = True
        return Permit(self._era)

    def answered(self, permit: Permit) -> None:
        """It is there, whatever it said."""
        if permit.era == self._era:
            self._failures = 0
            if not self.closed:
                self._turn(0.0)

    def failed(self, permit: Permit) -> None:
        if permit.era != self._era:
            return
        self._failures += 1
        if not self.closed:
            self._turn(min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS))
        elif self._failures >= FAILURES:
            self._turn(FIRST_PAUSE_SECONDS)

    def late(self, permit: Permit) -> None:
        """No answer in time from one that was heard a moment ago: no failure, but no probe that
        succeeded either."""
        if not self.closed:
            self.failed(permit)

    def abandoned(self, permit: Permit) -> None:
        """The caller left before it was known: the next one may probe at once."""
        if permit.era == self._era:
            self._probing = False

    def _turn(self, pause_seconds: float) -> None:
        self._era += 1
        self._probing = False
        self._pause_seconds = pause_seconds
        self._probe_at = self._clock() + pause_seconds
