"""`make bench`: several processes of the service at once on one Firestore database, and that
database away.

    python tests/benchmarks/storm.py

All of it is real: functions-framework in processes of their own, the Firestore emulator in memory,
an upstream on loopback that answers at once. Figures of a busy laptop, not of Google's: what they
tell is that nothing queues up. Requests of a row are sent at once, each on an open connection of
its own; their times are those a client sees. `cold`: the processes have not asked the database for
anything yet. There is no pass and no fail, but a count that is wrong ends the run.
"""

import asyncio
import itertools
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from benchmarks.load import Sample, canned_upstream
from gateway.documents.firestore import HOT_SECONDS
from support.chats import Person, user
from support.emulator import Emulator, EmulatorMissing
from support.fleet import asking, at_once, firestore, fleet
from support.service import Service

ROUNDS = 5
LIMIT, PROCESSES, REQUESTS_EACH = 50, 4, 100
TURNS_EACH, KEYS = 50, 20
PATIENCE_SECONDS = 60.0
ASKED_MEANWHILE = 3
KEY_NAMES = [f"sk-{n}" for n in range(64)]

Made = Callable[[int], bytes]


class Storms:
    """Each storm is somebody new's."""

    def __init__(self) -> None:
        self._keys = iter(KEY_NAMES)

    def admitted(self, services: Sequence[Service], memory: str) -> list[Sample]:
        """Four times a hundred requests under a limit of 50."""
        key = next(self._keys)

        def made(n: int) -> bytes:
            headers = {"x-api-key": key, "x-memory": memory, "x-session-id": f"s{n}"}
            return asking(f"question {n}", headers)

        samples = storm(services, REQUESTS_EACH, made)
        expect(samples, {200: LIMIT, 429: PROCESSES * REQUESTS_EACH - LIMIT})
        return samples

    def one_session(self, services: Sequence[Service]) -> list[Sample]:
        """A hundred turns from two processes; each must be there once."""
        headers = {"x-api-key": next(self._keys), "x-session-id": "s"}
        samples = storm(services, TURNS_EACH, lambda n: asking(f"question {n}", headers))
        expect(samples, {200: 2 * TURNS_EACH})
        with client(services[0]) as http:
            told = Person(http, headers).told_texts("s")
        if len(set(told[::2])) != 2 * TURNS_EACH or len(told) != 4 * TURNS_EACH:
            raise RuntimeError(f"of {2 * TURNS_EACH} turns {len(told) / 2} were stored")
        return samples

    def one_key(self, services: Sequence[Service]) -> list[Sample]:
        """Twenty keys, each used in two processes at the same time."""
        key = next(self._keys)

        def made(n: int) -> bytes:
            name = str(n % KEYS)
            headers = {"x-api-key": key, "x-session-id": name, "idempotency-key": name}
            return asking(f"question {name}", headers)

        samples = storm(services, KEYS, made)
        if unexpected := {sample.status for sample in samples} - {200, 409}:
            raise RuntimeError(f"answered {unexpected}")
        return samples


def storm(services: Sequence[Service], each: int, made: Made) -> list[Sample]:
    asked = {s.port: [made(i * each + n) for n in range(each)] for i, s in enumerate(services)}
    answers = asyncio.run(at_once(asked))
    return [sample for samples in answers.values() for sample in samples]


def expect(samples: Sequence[Sample], expected: Mapping[int, int]) -> None:
    if (found := Counter(sample.status for sample in samples)) != expected:
        raise RuntimeError(f"answered {dict(found)}, expected {dict(expected)}")


def client(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False)


# storms


def storms(settings: Mapping[str, str]) -> Iterator[str]:
    made = Storms()
    yield row("", ("slowest", "p50", "p95", "p99"), "answers")
    limited = {**settings, "REQUESTS_PER_MINUTE": str(LIMIT)}
    with started(*[limited] * PROCESSES) as services:
        title = f"{PROCESSES} x {REQUESTS_EACH} requests, limit {LIMIT}"
        yield figures(f"{title}, cold", [made.admitted(services, "off")])
        yield figures(title, [made.admitted(services, "off") for _ in range(ROUNDS)])
        remembered = [made.admitted(services, "on") for _ in range(ROUNDS)]
        yield figures(f"{title}, remembered", remembered)
    with started(settings, settings) as services:
        title = f"2 x {TURNS_EACH} turns of one session"
        yield figures(f"{title}, cold", [made.one_session(services)])
        yield figures(title, [made.one_session(services) for _ in range(ROUNDS)])
        at_keys = [made.one_key(services) for _ in range(ROUNDS)]
        yield figures(f"{KEYS} keys, each in 2 processes", at_keys)


@contextmanager
def started(*settings: Mapping[str, str]) -> Iterator[list[Service]]:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), *settings) as services:
        yield services


def figures(title: str, rounds: Iterable[Sequence[Sample]]) -> str:
    samples = list(itertools.chain.from_iterable(rounds))
    ordered = sorted(1000 * sample.seconds for sample in samples)
    places = [int(share * len(ordered)) for share in (0.5, 0.95, 0.99)]
    cells = [f"{ms:.0f} ms" for ms in (ordered[-1], *(ordered[place] for place in places))]
    return row(title, cells, counted(Counter(sample.status for sample in samples)))


def row(title: str, cells: Sequence[str], rest: str) -> str:
    return f"{title:<44}" + "".join(f"{cell:>10}" for cell in cells) + f"   {rest}"


# outages


def outages(emulator: Emulator, settings: Mapping[str, str]) -> Iterator[str]:
    """The store goes and comes back under somebody who asks without a pause."""
    ways = {
        "stopped": (emulator.stop, emulator.start),
        "hung": (emulator.hang, emulator.resume),
    }
    yield row("", ("first", "slowest", "usually", "recovery"), "answers meanwhile")
    both = [{**settings, "LIMITER_FAILURE": failure} for failure in ("closed", "open")]
    with started(*both) as services:
        for way, (go, come) in ways.items():
            for service, failure, memory in zip(
                services, ("closed", "open"), ("on", "off"), strict=True
            ):
                title = f"store {way}, limiter {failure}, memory {memory}"
                yield row(title, *outage(service, memory, go, come))


def outage(
    service: Service, memory: str, go: Callable[[], object], come: Callable[[], object]
) -> tuple[list[str], str]:
    """Seconds of the first answer without the store and of the slowest of a few; of a usual one
    before; and from the store's return to the first turn remembered."""
    with client(service) as http:
        person = Person(http, {"x-api-key": KEY_NAMES[-1]})
        usual = sorted(ask(person, memory)[1] for _ in range(21))[10]
        go()
        meanwhile = [ask(person, memory) for _ in range(ASKED_MEANWHILE)]
        come()
        returned = time.perf_counter()
        while ask(person, "on")[0] != 200:
            if time.perf_counter() > returned + PATIENCE_SECONDS:
                raise RuntimeError("the service did not recover")
        recovery = time.perf_counter() - returned
    seconds = (meanwhile[0][1], max(each for _, each in meanwhile), usual, recovery)
    told = Counter(status for status, _ in meanwhile)
    return [f"{each:.3f} s" for each in seconds], counted(told)


def ask(person: Person, memory: str) -> tuple[int, float]:
    began = time.perf_counter()
    answer = person.ask(user("Hello"), memory=memory)
    return answer.status_code, time.perf_counter() - began


def counted(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))


def main() -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {ROUNDS} rounds")
    print(f"the store's deadline is {HOT_SECONDS:g} s a call\n")
    try:
        emulator = Emulator()
    except EmulatorMissing as missing:
        sys.exit(str(missing))
    with emulator, canned_upstream() as upstream:
        settings = {
            **firestore(emulator, "storm"),
            "UPSTREAM_BASE": f"http://127.0.0.1:{upstream}",
            "API_KEYS": ",".join(f"{key}:{key}" for key in KEY_NAMES),
        }
        for line in itertools.chain(storms(settings), [""], outages(emulator, settings)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
