"""Firestore in the simulation: latency, one commit at a time to a document, and what is billed."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Generator, Sequence
from random import Random
from typing import Any, TypeVar

import simpy

from capacity.assumptions import Times
from gateway.documents.base import Add, Written

T = TypeVar("T")
Happening = Generator[simpy.Event, Any, T]


class Ledger:
    """The limiter's counters: exact, at once. `take` returns the paths of each commit since."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[str, float]] = {}
        self._commits: list[tuple[str, ...]] = []

    async def commit(self, *writes: Add) -> list[Written]:
        self._commits.append(tuple(write.path for write in writes))
        return [Written("", self._add(write)) for write in writes]

    def take(self) -> list[tuple[str, ...]]:
        taken, self._commits = self._commits, []
        return taken

    def _add(self, write: Add) -> dict[str, float]:
        fields = self._fields.setdefault(write.path, {})
        for name in write.drop:
            fields.pop(name, None)
        values = {name: fields.get(name, 0) + amount for name, amount in write.amounts.items()}
        fields.update(values)
        return values


class StoreLate(Exception):
    """A commit that did not come through within its deadline."""


class Store:
    def __init__(self, world: simpy.Environment, times: Times, randomness: Random) -> None:
        self.reads = 0
        self.writes = 0
        self.hot_writes: Counter[str] = Counter()
        self._world = world
        self._times = times
        self._randomness = randomness
        self._hot: dict[str, simpy.Resource] = {}

    def read(self, documents: int) -> Happening[None]:
        self.reads += documents
        yield self._world.timeout(self._latency(self._times.read))

    def commit(self, paths: Sequence[str]) -> Happening[None]:
        """Raises `StoreLate`. Documents that many people write are waited for, one at a time."""
        self.writes += len(paths)
        hot = next((path for path in paths if "/global/" in path), None)
        if hot is None:
            yield self._world.timeout(self._latency(self._times.write))
            return
        self.hot_writes[hot] += 1
        line = self._hot.setdefault(hot, simpy.Resource(self._world))
        with line.request() as turn:
            yield turn | self._world.timeout(self._times.store_deadline)
            if not turn.triggered:
                raise StoreLate
            yield self._world.timeout(self._latency(self._times.write))

    def _latency(self, median: float) -> float:
        return median * self._randomness.lognormvariate(0, self._times.spread)


class Immediate:
    """Runs coroutines that never really wait, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self._loop.close()
