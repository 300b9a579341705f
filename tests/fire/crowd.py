"""Hundreds of clients, each one request after another, many of whom leave before they have all.

Each request is on a connection of its own and asks a question that nobody else asks, so that what
was stored can be told apart afterwards.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.load import Connection, chat_request
from fire.weather import SICK, WELL

TURNS_A_SESSION = 8
DONE = b"data: [DONE]\n\n"
LEFT, BROKEN, LATE = -1, 0, -2
"""Instead of a status: the client left, the service hung up, no end within `patience`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request; times are `time.perf_counter`'s."""

    key: str
    question: str
    health: str
    began: float
    ended: float
    first_seconds: float
    status: int
    acknowledged: bool

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Asking:
    """What one client sends next; `leaves_after` pieces of the body, if it does."""

    key: str
    question: str
    session: str
    health: str
    stream: bool
    leaves_after: int | None

    def request(self, held: int) -> bytes:
        body = {
            "model": self.health,
            "stream": self.stream,
            "max_tokens": held,
            "messages": [{"role": "user", "content": self.question}],
        }
        return chat_request(body, {"x-api-key": self.key, "x-session-id": self.session})


class Visitor(Connection):
    """Hangs up by itself after `leaves_after` pieces of the body."""

    def __init__(self, leaves_after: int | None) -> None:
        super().__init__()
        self._leaves_after = leaves_after
        self._pieces = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._pieces += 1
        if self._pieces == self._leaves_after:
            self.close()


class Crowd:
    """`sick` and `well` clients; each asks once in `cycle` seconds on average, or as often as its
    answers let it."""

    def __init__(
        self,
        port: int,
        keys: Sequence[str],
        *,
        well: int,
        sick: int,
        held: int,
        cycle: float,
        patience: float,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.under_way = 0
        self._port = port
        self._keys = keys
        self._well = well
        self._sick = sick
        self._held = held
        self._cycle = cycle
        self._patience = patience

    async def run(self, seconds: float, name: str) -> list[Outcome]:
        """All of them for so long, until their last answers; `name` keeps questions apart."""
        until = asyncio.get_running_loop().time() + seconds
        begun = len(self.outcomes)
        clients = [self._client(name, n, until) for n in range(self._well + self._sick)]
        await asyncio.gather(*clients)
        return self.outcomes[begun:]

    async def turns(self, name: str, each: int) -> list[Outcome]:
        """A count of requests of each client, without pauses."""
        begun = len(self.outcomes)
        clients = [self._counted(name, n, each) for n in range(self._well + self._sick)]
        await asyncio.gather(*clients)
        return self.outcomes[begun:]

    async def _client(self, name: str, number: int, until: float) -> None:
        random, turn = Random(f"{name} {number}"), 0
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0, self._cycle))
        while (began := loop.time()) < until:
            await self._ask(self._next(name, number, turn, random))
            turn += 1
            pause = self._cycle * random.uniform(0.5, 1.5) - (loop.time() - began)
            await asyncio.sleep(max(0.0, min(pause, until - loop.time())))

    async def _counted(self, name: str, number: int, each: int) -> None:
        random = Random(f"{name} {number}")
        for turn in range(each):
            await self._ask(self._next(name, number, turn, random))

    def _next(self, name: str, number: int, turn: int, random: Random) -> Asking:
        is_well = number < self._well
        stream = random.random() < 0.8
        leaves = not is_well and stream and random.random() < 0.3
        return Asking(
            key=self._keys[number % len(self._keys)],
            question=f"q-{name}-{number}-{turn}",
            session=f"{name}-{number}-{turn // TURNS_A_SESSION}",
            health=WELL if is_well else random.choices(list(SICK), list(SICK.values()))[0],
            stream=stream,
            leaves_after=random.randint(1, 4) if leaves else None,
        )

    async def _ask(self, asking: Asking) -> None:
        self.under_way += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience):
                first, status, acknowledged = await self._answered(asking)
        except TimeoutError:
            first, status, acknowledged = self._patience, LATE, False
        except OSError:
            left = asking.leaves_after is not None
            first, status, acknowledged = 0.0, LEFT if left else BROKEN, False
        finally:
            self.under_way -= 1
        self.outcomes.append(
            Outcome(
                asking.key,
                asking.question,
                asking.health,
                began,
                time.perf_counter(),
                first,
                status,
                acknowledged,
            )
        )

    async def _answered(self, asking: Asking) -> tuple[float, int, bool]:
        def visitor() -> Visitor:
            return Visitor(asking.leaves_after)

        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(visitor, "127.0.0.1", self._port)
        try:
            sample = await connection.ask(asking.request(self._held))
        finally:
            connection.close()
        whole = sample.body.endswith(DONE) if asking.stream else True
        acknowledged = sample.status == 200 and whole
        return sample.first_seconds, sample.status, acknowledged


def acknowledged(outcomes: Sequence[Outcome]) -> dict[str, set[str]]:
    """Questions by person."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in outcomes:
        if one.acknowledged:
            found[one.key].add(one.question)
    return found


def unanswered(outcomes: Sequence[Outcome], windows: Sequence[tuple[float, float]]) -> int:
    """Requests that were open in one of the windows and got no whole answer."""
    return sum(
        any(one.began < end and begin < one.ended for begin, end in windows)
        for one in outcomes
        if not one.acknowledged
    )
