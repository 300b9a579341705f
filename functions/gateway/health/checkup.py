"""All probes at once, seldom: whoever asks in between gets what was found.

So a page that is asked often, by anybody, costs the store one read in `FRESH_SECONDS` for each
instance. A probe that takes longer than `PROBE_SECONDS` has found its dependency away.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.errors import GatewayError
from gateway.health.base import Probe, Sighting, State, Unwell

FRESH_SECONDS = 15.0
PROBE_SECONDS = 3.0

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Check:
    """`last_success` in epoch seconds, of this instance; None when there was none yet."""

    state: State
    required: bool
    latency_ms: float | None
    last_success: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    at: float = -math.inf
    checks: dict[str, Check] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        failed = (check.required and check.state == "unhealthy" for check in self.checks.values())
        return not any(failed)


class Checkup:
    """`clock` tells the time of day; `timer` measures."""

    def __init__(self, probes: Sequence[Probe], clock: Clock, timer: Clock) -> None:
        self._probes = probes
        self._clock = clock
        self._timer = timer
        self._found = Findings()
        self._looking: asyncio.Task[Findings] | None = None

    async def findings(self) -> Findings:
        """At most `FRESH_SECONDS` old. One look runs, however many wait or leave meanwhile."""
        if self._clock() < self._found.at + FRESH_SECONDS:
            return self._found
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Findings:
        checks = await asyncio.gather(*(self._checked(probe) for probe in self._probes))
        named = dict(zip((probe.name for probe in self._probes), checks, strict=True))
        self._found = Findings(self._clock(), named)
        return self._found

    async def _checked(self, probe: Probe) -> Check:
        started = self._timer()
        sighting = await _seen(probe)
        seconds = self._timer() - started if sighting.asked else sighting.seconds
        return Check(
            sighting.state,
            probe.required,
            None if seconds is None else round(1000 * seconds, 2),
            self._last_success(probe, sighting),
            sighting.detail,
        )

    def _last_success(self, probe: Probe, sighting: Sighting) -> float | None:
        if sighting.at is not None:
            return sighting.at
        if sighting.asked and sighting.state == "healthy":
            return self._clock()
        before = self._found.checks.get(probe.name)
        return before.last_success if before else None


async def _seen(probe: Probe) -> Sighting:
    """Errors of ours speak for themselves; of others the kind is told, which quotes nothing."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe.look()
    except TimeoutError:
        return Sighting("unhealthy", f"no answer within {PROBE_SECONDS:g} seconds")
    except Unwell as unwell:
        return Sighting("unhealthy", str(unwell))
    except GatewayError as error:
        return Sighting("unhealthy", error.message)
    except Exception as error:
        return Sighting("unhealthy", type(error).__name__)
