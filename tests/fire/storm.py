"""`make storm`: two hundred streams at once before an upstream, a store and a retriever in trouble.

    python tests/fire/storm.py --seconds 180 --clients 450 --rate 9 --slow 60 [--kill]

The real service in processes of its own, everything else on loopback. A fifth of the clients is
well and asks the same in the calm before and in the storm; the others ask for an upstream that
stalls, resets, trickles or lies, and many leave. Meanwhile the store is locked, the retriever comes
and goes and, with `--kill`, the worker dies by SIGKILL. Then everything is counted; a count that is
wrong ends the run with status 1. Times are those a client sees to the first byte of the body, on
whatever machine this is: `--rate` is to be what one worker there can do at leisure.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from fire.crowd import (
    BROKEN,
    LATE,
    LEFT,
    Crowd,
    Outcome,
    acknowledged,
    unanswered,
)
from fire.outages import Outages, come_and_go
from fire.reckoning import Ledger, established, kept
from fire.rush import rushes
from fire.weather import WELL, Weather
from support.ports import free_port
from support.service import Service
from support.upstream import LoopbackUpstream

KEYS = [f"sk-{n}" for n in range(20)]
HELD = 10_000_000  # tokens that each request reserves: together the turns use fewer
WELL_SHARE = 5  # one in so many clients
QUIET_SECONDS = 15.0  # beside what the slowest answer takes
PATIENCE_STEP_SECONDS = 0.25
FLAT = 1.15  # memory after the storm, to that of its first third


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    clients: int
    rate: float
    slow: float  # how long the service waits for an upstream that says nothing; a trickle's length
    kill: bool

    @property
    def patience(self) -> float:
        """What a client waits: a stall may begin when half of the answer has trickled."""
        return 2 * self.slow + 30

    @property
    def well(self) -> int:
        return max(1, self.clients // WELL_SHARE)

    @property
    def cycle(self) -> float:
        return self.clients / self.rate


class Storm:
    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._retriever_port = free_port()
        self._sizes: list[float] = []
        self._open: list[int] = []
        self._crowds: list[Crowd] = []
        self.faults: list[str] = []

    def run(self) -> None:
        with (
            LoopbackUpstream(Weather(7, self._plan.slow)) as upstream,
            Service(self._folder, **self._settings(upstream)) as service,
        ):
            for line in asyncio.run(self._weathered(service, upstream)):
                print(line, flush=True)
            for row in rushes(service, KEYS[0]):
                print(row, flush=True)

    def _settings(self, upstream: LoopbackUpstream) -> dict[str, str]:
        return {
            "UPSTREAM_BASE": upstream.base_url,
            "API_KEYS": ",".join(f"{key}:{key}" for key in KEYS),
            "REQUEST_TIMEOUT_SECONDS": str(self._plan.slow),
            "UPSTREAM_TIMEOUT_SECONDS": str(self._plan.slow),
            "RETRIEVER_URL": f"http://127.0.0.1:{self._retriever_port}",
            "RETRIEVER_DEADLINE_SECONDS": "0.5",
            "MEMORY_COMPRESS_ABOVE_TOKENS": "200",
        }

    async def _weathered(self, service: Service, upstream: LoopbackUpstream) -> list[str]:
        plan, outages = self._plan, Outages(self._folder)
        calm, crowd = self._crowd(service, 0), self._crowd(service, plan.clients - plan.well)
        self._crowds = [calm, crowd]
        before = await calm.run(max(5.0, plan.seconds / 6), "calm")
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(come_and_go(self._retriever_port, 5.0, 5.0)),
                group.create_task(self._watch(service, upstream)),
                group.create_task(self._trouble(service, outages)),
            ]
            during = await crowd.run(plan.seconds, "storm")
            for task in beside:
                task.cancel()
        after = await self._quiet(service, upstream)
        outcomes = [*before, *during]
        return [
            *self._told(before, during, outages),
            *self._reckoned(service, outcomes, outages, after),
        ]

    def _crowd(self, service: Service, sick: int) -> Crowd:
        well, cycle = self._plan.well, self._plan.cycle
        return Crowd(
            service.port,
            KEYS,
            well=well,
            sick=sick,
            held=HELD,
            cycle=cycle,
            patience=self._plan.patience,
        )

    async def _trouble(self, service: Service, outages: Outages) -> None:
        """The store at a third of the storm and, if wanted, the worker's death at two thirds."""
        await asyncio.sleep(self._plan.seconds / 3)
        await outages.lock_the_store()
        await asyncio.sleep(max(0.0, self._plan.seconds / 3 - 6))
        if self._plan.kill:
            await outages.kill_the_worker(service)

    async def _watch(self, service: Service, upstream: LoopbackUpstream) -> None:
        while True:
            await asyncio.sleep(1.0)
            upstream.requests.clear()
            self._open.append(sum(one.under_way for one in self._crowds))
            with contextlib.suppress(Exception):  # the worker may be dead just now
                self._sizes.append(service.worker.memory_info().rss / 2**20)

    async def _quiet(self, service: Service, upstream: LoopbackUpstream) -> dict[str, int]:
        """What is left open when nobody has asked for a while; bounded."""
        for _ in range(int((self._plan.slow + QUIET_SECONDS) / PATIENCE_STEP_SECONDS)):
            left = {
                "from clients": established(service.worker, service.port),
                "answers under way": upstream.answering,
            }
            if not any(left.values()):
                break
            await asyncio.sleep(PATIENCE_STEP_SECONDS)
        return left

    def _told(
        self, before: Sequence[Outcome], during: Sequence[Outcome], outages: Outages
    ) -> list[str]:
        away = [*outages.store, *outages.kills]
        clear = [one for one in during if not _within(one, away)]
        rows = [
            row("", ("requests", "p50", "p95", "p99", "slowest"), "answers"),
            figures("well, in the calm", before),
            figures("well, in the storm", [one for one in clear if one.health == WELL]),
            figures("well, store locked or worker dead", _inside(during, away)),
        ]
        kinds = sorted({one.health for one in during} - {WELL})
        rows.extend(figures(kind, [one for one in during if one.health == kind]) for kind in kinds)
        return rows

    def _reckoned(
        self,
        service: Service,
        outcomes: Sequence[Outcome],
        outages: Outages,
        left: dict[str, int],
    ) -> list[str]:
        found = kept(service, acknowledged(outcomes))
        leaked = Ledger(self._folder).leaked(HELD)
        excused = unanswered(outcomes, [*outages.store, *outages.kills])
        late = sum(one.status == LATE for one in outcomes)
        third = max(1, len(self._sizes) // 3)
        early, end = max(self._sizes[:third], default=0.0), max(self._sizes[-3:], default=0.0)
        self._check(found.sound, "an acknowledged turn is missing or doubled")
        self._check(leaked <= excused, "reservations leaked")
        self._check(not any(left.values()), "something is left open")
        self._check(not late, "requests without an end")
        self._check(end <= FLAT * early, "memory grew")
        self._check("Traceback" not in service.log, "the log holds a traceback")
        return [
            "",
            f"open at once: {_mean(self._open):.0f} on average, {max(self._open, default=0)} most",
            f"acknowledged turns {found.acknowledged}, missing {len(found.missing)},"
            f" doubled {len(found.doubled)}",
            f"reservations leaked {leaked}; {excused} requests had no answer while the store was"
            " locked or the worker dead",
            f"left open: {left}; requests past {self._plan.patience:g} s: {late}",
            f"worker's memory: {early:.0f} MB in the first third, {end:.0f} MB at the end",
            *(f"WRONG: {fault}" for fault in self.faults),
            "",
        ]

    def _check(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _within(one: Outcome, windows: Sequence[tuple[float, float]]) -> bool:
    return any(one.began < end and begin < one.ended for begin, end in windows)


def _inside(outcomes: Sequence[Outcome], windows: Sequence[tuple[float, float]]) -> list[Outcome]:
    return [one for one in outcomes if one.health == WELL and _within(one, windows)]


def figures(title: str, outcomes: Sequence[Outcome]) -> str:
    ordered = sorted(1000 * one.first_seconds for one in outcomes if one.first_seconds)
    places = [int(share * len(ordered)) for share in (0.5, 0.95, 0.99)]
    times = [ordered[place] for place in places] + ordered[-1:] if ordered else []
    cells = [str(len(ordered)), *(f"{each:.0f} ms" for each in times)]
    return row(title, cells, counted(outcomes))


def counted(outcomes: Sequence[Outcome]) -> str:
    words = {LEFT: "left", BROKEN: "cut", LATE: "late"}
    counts = Counter(words.get(one.status, str(one.status)) for one in outcomes)
    return ", ".join(f"{count} x {word}" for word, count in sorted(counts.items()))


def row(title: str, cells: Sequence[str], rest: str) -> str:
    return f"{title:<36}" + "".join(f"{cell:>10}" for cell in cells) + f"   {rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description="A storm, and what is left after it.")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--clients", type=int, default=450, help="200 of them open at once")
    parser.add_argument("--rate", type=float, default=9.0, help="requests each second, of all")
    parser.add_argument("--slow", type=float, default=60.0, help="seconds that the slowest take")
    parser.add_argument("--kill", action="store_true", help="SIGKILL for the worker, meanwhile")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {chosen.clients} clients")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(
            Plan(chosen.seconds, chosen.clients, chosen.rate, chosen.slow, chosen.kill),
            Path(folder),
        )
        storm.run()
    print(f"\n{time.perf_counter() - started:.0f} s in all")
    if storm.faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
