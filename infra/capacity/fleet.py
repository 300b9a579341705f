"""Cloud Run in the simulation: instances that start on demand, and what each of them remembers."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import simpy

from capacity.assumptions import Deployment, Times
from capacity.memory import InstanceMemory
from capacity.store import Happening
from gateway.limits.limiter import Limiter

ROOM = 0.6  # of the concurrency: above it Cloud Run starts another instance


class NoRoom(Exception):
    """Cloud Run's own 429: nothing came free in time."""


class Instance:
    """One process: a core, a limiter, a cache of indexes."""

    def __init__(self, world: simpy.Environment, limiter: Limiter, memory: InstanceMemory) -> None:
        self.core = simpy.Resource(world)
        self.limiter = limiter
        self.memory = memory
        self.serving = 0
        self.ready = world.event()
        self.billed_seconds = 0.0
        self._world = world
        self._busy_since = 0.0

    def take(self) -> None:
        if not self.serving:
            self._busy_since = self._world.now
        self.serving += 1

    def leave(self) -> None:
        self.serving -= 1
        if not self.serving:
            self.billed_seconds += self._world.now - self._busy_since

    def billed(self) -> float:
        running = self._world.now - self._busy_since if self.serving else 0.0
        return self.billed_seconds + running


class Fleet:
    def __init__(
        self,
        world: simpy.Environment,
        deployment: Deployment,
        times: Times,
        randomness: Random,
        make: Callable[[], Instance],
    ) -> None:
        self.instances: list[Instance] = []
        self.most_at_once = 0
        self._world = world
        self._deployment = deployment
        self._times = times
        self._randomness = randomness
        self._make = make
        self._waiting: deque[simpy.Event] = deque()
        self._usual: dict[int, Instance] = {}

    def seat(self, person: int) -> Happening[Instance]:
        """An instance with room, the person's usual one if it has any. Raises `NoRoom`."""
        deadline = self._world.now + self._times.queue_most
        while (instance := self._choose(person)) is None:
            free = self._world.event()
            self._waiting.append(free)
            yield free | self._world.timeout(max(0.0, deadline - self._world.now))
            if not free.triggered:
                self._waiting.remove(free)
                raise NoRoom
        instance.take()
        self._usual[person] = instance
        self.most_at_once = max(self.most_at_once, sum(one.serving for one in self.instances))
        if not instance.ready.processed:
            yield instance.ready
        return instance

    def leave(self, instance: Instance) -> None:
        instance.leave()
        if self._waiting:
            self._waiting.popleft().succeed()

    def _choose(self, person: int) -> Instance | None:
        most = self._deployment.concurrency
        usual = self._usual.get(person)
        if self._deployment.session_affinity and usual and usual.serving < most:
            return usual
        roomy = [one for one in self.instances if one.serving < ROOM * most]
        if roomy:
            return self._randomness.choice(roomy)
        if len(self.instances) < self._deployment.max_instances:
            return self._start()
        free = [one for one in self.instances if one.serving < most]
        return self._randomness.choice(free) if free else None

    def _start(self) -> Instance:
        instance = self._make()
        self.instances.append(instance)
        self._world.process(self._starting(instance))
        return instance

    def _starting(self, instance: Instance) -> Happening[Any]:
        yield self._world.timeout(self._times.instance_start)
        instance.ready.succeed()
