"""A deployment under people who chat: one turn, as the service takes it, in simulated time.

What decides is the service's own code: the limiter with its windows and shards, the packing of
tails into segments, the cache of indexes, the retriever's cache of windows. How long things take
are `assumptions`. The first part of a run warms up and is not counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import simpy

from capacity.assumptions import Deployment, People, Times
from capacity.fleet import Fleet, Instance, NoRoom
from capacity.memory import InstanceMemory, turns_that_roll_over
from capacity.store import Happening, Immediate, Ledger, Store, StoreLate
from capacity.tier import Tier
from gateway.errors import RateLimited
from gateway.limits.base import Limits, Reservation
from gateway.limits.limiter import Limiter
from gateway.memory.segments import SEGMENT_BYTES, TAIL_TURNS

NOON = 1_800_014_400.0  # far from midnight, which the limiter's windows would touch
SUSTAINED_WRITES = (
    1.0  # a second to one document: https://firebase.google.com/docs/firestore/quotas
)
LATE_SHARE = 0.5  # of the questions: from there on the tier hardly matters


@dataclass(frozen=True)
class Spending:
    """What has been used up since the start of the run."""

    reads: int = 0
    writes: int = 0
    instance_seconds: float = 0.0
    gpu_billed_seconds: float = 0.0
    gpu_work_seconds: float = 0.0
    asked: int = 0
    late: int = 0
    warm: int = 0
    busy_seconds: float = 0.0
    hottest_writes: int = 0

    def since(self, before: "Spending") -> "Spending":
        changed = {name: value - getattr(before, name) for name, value in vars(self).items()}
        return replace(self, **changed)


@dataclass
class Outcome:
    """A run's counted part. `waits` are seconds before the upstream is asked, of answered turns."""

    users: int
    seconds: float
    waits: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    spent: Spending = field(default_factory=Spending)
    instances: int = 0
    containers: int = 0
    most_at_once: int = 0

    @property
    def turns(self) -> int:
        return self.ends.total()

    def share(self, end: str) -> float:
        return self.ends[end] / self.turns if self.turns else 0.0


@dataclass
class Person:
    number: int
    turns: int

    @property
    def subject(self) -> str:
        return f"google:{self.number}"


class Simulation:
    def __init__(
        self,
        users: int,
        deployment: Deployment,
        people: People | None = None,
        times: Times | None = None,
        seed: int = 7,
    ) -> None:
        self._people, self._times = people or People(), times or Times()
        self._deployment = deployment
        self._randomness = Random(seed)
        self._world = simpy.Environment()
        self._ledger, self._immediate = Ledger(), Immediate()
        self._store = Store(self._world, self._times, self._randomness)
        self._tier = Tier(self._world, deployment, self._times, self._randomness)
        self._fleet = Fleet(self._world, deployment, self._times, self._randomness, self._instance)
        self._rolled = turns_that_roll_over(self._people.bytes_per_turn)
        self._users = users
        self._cpu_seconds = 0.0
        self._outcome = Outcome(users, 0.0)

    def run(self, warm_up: float, seconds: float) -> Outcome:
        """Counts what ends in the `seconds` after `warm_up`."""
        for number in range(self._users):
            self._world.process(self._chatting(Person(number, self._past())))
        try:
            self._world.run(warm_up)
            before, self._outcome = self._spent(), Outcome(self._users, seconds)
            self._world.run(warm_up + seconds)
        finally:
            self._immediate.close()
        self._outcome.spent = self._spent().since(before)
        self._outcome.instances = len(self._fleet.instances)
        self._outcome.containers = len(self._tier.containers)
        self._outcome.most_at_once = self._fleet.most_at_once
        return self._outcome

    def _past(self) -> int:
        drawn = self._people.turns_remembered * self._randomness.lognormvariate(
            0, self._people.turns_spread
        )
        return min(int(drawn), self._people.turns_most)

    def _chatting(self, person: Person) -> Happening[Any]:
        while True:
            mean = self._people.seconds_between_turns
            yield self._world.timeout(self._randomness.expovariate(1 / mean))
            end = yield from self._turn(person)
            self._outcome.ends[end] += 1

    def _turn(self, person: Person) -> Happening[str]:
        """How it ended: `answered`, or what refused it."""
        began = self._world.now
        try:
            instance = yield from self._fleet.seat(person.number)
        except NoRoom:
            return "no instance"
        try:
            yield from self._served(instance, person, began)
        except RateLimited as refused:
            return "global limit" if "whole service" in refused.message else "own limit"
        except StoreLate:
            return "store late"
        finally:
            self._fleet.leave(instance)
        return "answered"

    def _served(self, instance: Instance, person: Person, began: float) -> Happening[None]:
        yield from self._compute(instance, self._times.cpu_before)
        yield from self._admitted(instance.limiter, person)
        missing = instance.memory.recall(person.number, self._segments(person), person.turns)
        if missing:
            yield from self._store.read(missing)
        tokens = person.turns * self._people.tokens_per_turn
        if tokens > self._deployment.small_tokens and self._deployment.containers:
            yield from self._tier.rank(person.number, tokens)
        self._outcome.waits.append(self._world.now - began)
        spread = self._randomness.lognormvariate(0, self._times.upstream_spread)
        yield self._world.timeout(self._times.upstream * spread)
        yield from self._compute(instance, self._times.cpu_after)
        yield from self._remembered(person)

    def _admitted(self, limiter: Limiter, person: Person) -> Happening[Reservation]:
        """Each commit that the limiter made takes its time; a refusal has made its own by then."""
        refused: RateLimited | None = None
        reservation: Reservation | None = None
        self._store.reads += 2  # the owner and the session's head, read meanwhile
        try:
            reservation = self._immediate.run(
                limiter.admit(person.subject, self._people.tokens_asked)
            )
        except RateLimited as error:
            refused = error
        for paths in self._ledger.take():
            yield from self._store.commit(paths)
        if refused or reservation is None:
            raise refused or AssertionError("neither admitted nor refused")
        return reservation

    def _remembered(self, person: Person) -> Happening[None]:
        """The head and the limiter's day; on a rollover the owner and a segment too."""
        person.turns += 1
        rolls = person.turns >= TAIL_TURNS and person.turns % self._rolled == 0
        paths = ["head", "day", *(["owner", "segment"] if rolls else [])]
        yield from self._store.commit(paths)

    def _compute(self, instance: Instance, seconds: float) -> Happening[None]:
        with instance.core.request() as turn:
            yield turn
            self._cpu_seconds += seconds
            yield self._world.timeout(seconds)

    def _segments(self, person: Person) -> int:
        sealed = max(0, person.turns - TAIL_TURNS) * self._people.bytes_per_turn
        return -(-sealed // SEGMENT_BYTES)

    def _instance(self) -> Instance:
        limits = Limits(
            requests_per_minute=60,
            tokens_per_minute=20_000,
            global_requests_per_minute=self._deployment.global_requests_per_minute,
            global_shards=self._deployment.global_shards,
        )
        documents: Any = self._ledger  # a limiter commits counters, and asks nothing else
        limiter = Limiter(
            documents, lambda: NOON + self._world.now, limits, "closed", self._randomness
        )
        tail_bytes = TAIL_TURNS * self._people.bytes_per_turn // 2
        memory = InstanceMemory(self._deployment.index_bytes, tail_bytes)
        return Instance(self._world, limiter, memory)

    def _spent(self) -> Spending:
        return Spending(
            reads=self._store.reads,
            writes=self._store.writes,
            instance_seconds=sum(one.billed() for one in self._fleet.instances),
            gpu_billed_seconds=self._tier.billed_seconds(),
            gpu_work_seconds=self._tier.work_seconds,
            asked=self._tier.asked,
            late=self._tier.late,
            warm=self._tier.warm,
            busy_seconds=self._cpu_seconds,
            hottest_writes=max(self._store.hot_writes.values(), default=0),
        )


def quantile(values: list[float], share: float) -> float:
    """0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def demands(outcome: Outcome, deployment: Deployment) -> Iterator[tuple[str, float]]:
    """What is asked of each thing, as a share of what it gives; above 1 it breaks.

    People who are refused come again after their pause, so that what they ask counts in full.
    """
    per_second = outcome.turns / outcome.seconds
    asked = outcome.spent.asked / outcome.turns if outcome.turns else 0.0
    yield from _gateway(outcome, deployment, per_second)
    yield from _tier_demand(outcome, deployment, per_second * asked)


def _gateway(
    outcome: Outcome, deployment: Deployment, per_second: float
) -> Iterator[tuple[str, float]]:
    limit = deployment.global_requests_per_minute
    if limit:
        yield "GLOBAL_REQUESTS_PER_MINUTE", 60 * per_second / limit
        yield (
            "writes to one shard of the global limit",
            outcome.spent.hottest_writes / outcome.seconds / SUSTAINED_WRITES,
        )
    room = deployment.max_instances * deployment.concurrency
    yield "max_instances", max(outcome.most_at_once / room, outcome.share("no instance") * 100)
    cores = max(1, outcome.instances)
    yield "the instances' processors", outcome.spent.busy_seconds / outcome.seconds / cores


def _tier_demand(
    outcome: Outcome, deployment: Deployment, per_second: float
) -> Iterator[tuple[str, float]]:
    if deployment.containers and outcome.spent.asked:
        working = outcome.spent.gpu_work_seconds / outcome.seconds / deployment.containers
        late = outcome.spent.late / outcome.spent.asked
        yield "GPU containers", max(working, late / LATE_SHARE)
