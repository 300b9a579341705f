"""The GPU tier in the simulation: containers that start on demand, each with the retriever's cache.

A question reads what its container has not read of the person's windows, and its own words. Past
the caller's deadline shared words rank; the reading goes on, and the next question finds it done.
"""

from dataclasses import dataclass
from random import Random
from typing import Any, cast

import simpy

from capacity.assumptions import Deployment, Times
from capacity.store import Happening
from retriever.reading.cache import WindowCache
from retriever.reading.window import Window

AT_ONCE = 32  # requests of one container; gpu/app.py
TARGET = 16  # above which Modal starts another
CHUNK_TOKENS = 250
LITTLE_TOKENS = 1_000  # what is read before somebody else's cold memory
EPOCH = 0


class ReadWindow:
    """A stand-in for the retriever's window: which chunks were read, and their bytes."""

    def __init__(self, chain: list[bytes], bytes_taken: int) -> None:
        self.chain = chain
        self.bytes_taken = bytes_taken

    def release(self) -> None:
        self.bytes_taken = 0


@dataclass
class Container:
    gpu: simpy.PriorityResource
    cache: WindowCache
    ready: simpy.Event
    started_at: float
    last_used: float
    asked: int = 0


class Tier:
    def __init__(
        self, world: simpy.Environment, deployment: Deployment, times: Times, randomness: Random
    ) -> None:
        self.containers: list[Container] = []
        self.asked = 0
        self.late = 0
        self.warm = 0
        self.work_seconds = 0.0
        self._slept_seconds = 0.0
        self._world = world
        self._deployment = deployment
        self._times = times
        self._randomness = randomness
        for _ in range(deployment.containers_at_least):
            self._start()

    def rank(self, person: int, tokens: int) -> Happening[None]:
        """Ends with the answer or with the deadline."""
        self.asked += 1
        container = self._container(person)
        deadline = self._world.timeout(self._deployment.deadline_seconds)
        if container is None:  # every one is full: refused at once
            self.late += 1
            return
        answering = self._world.process(self._answer(container, person, tokens))
        yield answering | deadline
        self.late += not answering.triggered

    def billed_seconds(self) -> float:
        """A container's time from its start to the end of its idle time, or until now."""
        now, idle = self._world.now, self._times.container_idle
        awake = sum(min(now, one.last_used + idle) - one.started_at for one in self.containers)
        return self._slept_seconds + awake

    def _answer(self, container: Container, person: int, tokens: int) -> Happening[Any]:
        container.asked += 1
        try:
            yield container.ready
            yield self._world.timeout(self._times.retriever_way)
            unread = self._unread(container, person, tokens)
            self.warm += sum(unread) <= LITTLE_TOKENS
            for piece in unread:
                yield from self._work(container, piece / self._times.tokens_per_second, piece)
            yield from self._work(container, self._times.question, 0)
        finally:
            container.asked -= 1
            container.last_used = self._world.now

    def _work(self, container: Container, seconds: float, tokens: int) -> Happening[None]:
        with container.gpu.request(priority=tokens > LITTLE_TOKENS) as turn:
            yield turn
            self.work_seconds += seconds
            yield self._world.timeout(seconds)

    def _unread(self, container: Container, person: int, tokens: int) -> list[int]:
        """Tokens to read of each window; from now on the cache takes them for read."""
        owner, sizes = str(person), _windows(tokens, self._deployment)
        return [self._read(container.cache, owner, place, size) for place, size in sizes]

    def _read(self, cache: WindowCache, owner: str, place: int, tokens: int) -> int:
        chain = [f"{place}.{chunk}".encode() for chunk in range(max(1, tokens // CHUNK_TOKENS))]
        found, shared = cache.find(owner, EPOCH, chain)
        if found is None:
            shared, found = 0, cast("Window", ReadWindow(chain, 0))
        window = cast("ReadWindow", found)
        window.chain = chain
        window.bytes_taken = tokens * self._times.bytes_per_token
        cache.keep(owner, EPOCH, found)
        cache.evict(in_use=(found,))
        return max(0, tokens - shared * CHUNK_TOKENS)

    def _container(self, person: int) -> Container | None:
        self._retire()
        if self._deployment.routing == "owner":
            while len(self.containers) < self._deployment.containers:
                self._start()
            return self.containers[person % len(self.containers)]
        crowded = all(one.asked >= TARGET for one in self.containers)
        if crowded and len(self.containers) < self._deployment.containers:
            return self._start()
        free = [one for one in self.containers if one.asked < AT_ONCE]
        ready = [one for one in free if one.ready.triggered]
        return self._randomness.choice(ready or free) if free else None

    def _retire(self) -> None:
        """Containers that nobody asked for their idle time are gone, with what they had read."""
        if len(self.containers) <= self._deployment.containers_at_least:
            return
        gone = [one for one in self.containers if self._asleep(one)]
        kept = [one for one in self.containers if not self._asleep(one)]
        if len(kept) >= self._deployment.containers_at_least:
            self.containers = kept
            idle = self._times.container_idle
            self._slept_seconds += sum(one.last_used + idle - one.started_at for one in gone)

    def _asleep(self, one: Container) -> bool:
        return not one.asked and self._world.now > one.last_used + self._times.container_idle

    def _start(self) -> Container:
        now = self._world.now
        cache = WindowCache(
            int(self._times.cache_bytes), self._times.cache_idle, lambda: self._world.now
        )
        container = Container(
            simpy.PriorityResource(self._world), cache, self._world.event(), now, now
        )
        self.containers.append(container)
        self._world.process(self._starting(container))
        return container

    def _starting(self, container: Container) -> Happening[Any]:
        yield self._world.timeout(self._times.container_start)
        container.ready.succeed()


def _windows(tokens: int, deployment: Deployment) -> list[tuple[int, int]]:
    """The places and sizes of the windows that are sent: the open one, then the ones before it."""
    full, rest = divmod(tokens, deployment.window_tokens)
    sizes = [(place, deployment.window_tokens) for place in range(full)]
    sizes += [(full, rest)] if rest else []
    room = max(1, deployment.most_tokens // deployment.window_tokens)
    return sizes[-room:]
