"""`make bench`: the service side by side with the least proxies there can be, and with its peers.

    PYTHONPATH=functions:gpu .venv/bin/python tests/benchmarks/speed.py [--quick]
        [--peers litellm,portkey] [--growth 200000] [--only "NAME;NAME"] [--cache FOLDER]
        [--python INTERPRETER]

One run, one upstream on loopback that answers at once, one worker each: straight to the upstream; a
bare functions-framework proxy with httpx, and with aiohttp; ours with memory off, with memory on
over a history of 200 turns in SQLite, and the same on the Firestore emulator; and the peers named,
which are installed from their registries at first. Whole answers, streams of 50 chunks and prompts
of 30 kB, at concurrency 1, 16 and 64, a person with a key and a history on each connection.

Blocks of a few seconds in turning order, round after round, so that a busy machine hits all alike;
figures are medians over the rounds. `cpu` is what the contender's processes used for a request,
which a busy machine moves least. `first`: to the first byte of the body. Then starts, from the
process's to the first answer of a chat, in turns too; what is resident after the first answer and
after the load; and what many requests leave behind. There is no pass and no fail.
"""

import argparse
import asyncio
import itertools
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import uvloop

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from benchmarks.contenders import PEERS, PEOPLE, Contender, Running, bare, key, ours
from benchmarks.load import Block, canned_upstream, chat_request, drive, drive_for, pinned
from benchmarks.talk import Message, Talk
from support.emulator import Emulator, EmulatorMissing
from support.fleet import firestore
from support.service import serving

SEED = 7
TURNS = 200
ASKED = 20  # different requests of a person
LARGE_WORDS = 4_300  # 30 kB
CONCURRENCIES = (1, 16, 64)
FORMS = ("whole", "stream", "30 kB")
STRAIGHT = "straight"
OFF, ON = "ours, memory off", "ours, on, SQLite"
FIRESTORE = "ours, on, Firestore"
RATED = ("bare aiohttp", "LiteLLM", "Portkey")
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float
    starts: int
    growth: int
    concurrencies: Sequence[int] = CONCURRENCIES


FULL = Plan(rounds=3, seconds=2.0, starts=5, growth=20_000)
QUICK = Plan(rounds=1, seconds=0.5, starts=3, growth=2_000, concurrencies=(1, 16))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one block: milliseconds, requests a second, microseconds of CPU for each."""

    p50: float
    p99: float
    first: float
    per_second: float
    cpu: float

    @staticmethod
    def of(block: Block, cpu_seconds: float) -> "Figures":
        whole = sorted(1000 * one.seconds for one in block.samples)
        first = sorted(1000 * one.first_seconds for one in block.samples)
        count = len(whole)
        return Figures(
            whole[count // 2],
            whole[int(0.99 * count)],
            first[count // 2],
            count / block.seconds,
            1e6 * cpu_seconds / count,
        )

    @staticmethod
    def median(each: Sequence["Figures"]) -> "Figures":
        names = ("p50", "p99", "first", "per_second", "cpu")
        return Figures(*(statistics.median(getattr(one, name) for one in each) for name in names))


class Asking:
    """The requests of everybody, made before any clock runs."""

    def __init__(self, talk: Talk, history: Sequence[Message]) -> None:
        self._texts = {
            form: [self._text(talk, history, form) for _ in range(ASKED)] for form in FORMS
        }

    def requests(self, contender: Contender | None, form: str, people: int) -> list[list[bytes]]:
        return [self._of_person(contender, form, person) for person in range(people)]

    def _of_person(self, contender: Contender | None, form: str, person: int) -> list[bytes]:
        headers = contender.headers(person) if contender else {}
        streamed = {"stream": True} if form == "stream" else {}
        return [
            chat_request(
                {"model": "canned", "messages": [{"role": "user", "content": text}], **streamed},
                headers,
            )
            for text in self._texts[form]
        ]

    @staticmethod
    def _text(talk: Talk, history: Sequence[Message], form: str) -> str:
        return talk.sentence(LARGE_WORDS) if form == "30 kB" else talk.question(history)


class WrongAnswer(Exception):
    """A peer may not manage all that is asked of it: the row then says so."""


class Bench:
    def __init__(self, upstream: int, folder: Path, plan: Plan, asking: Asking) -> None:
        self._upstream = upstream
        self._folder = folder
        self._plan = plan
        self.asking = asking

    async def started(self, contender: Contender) -> tuple[Running, float]:
        """A new process, and the seconds until its first answer."""
        place = Path(tempfile.mkdtemp(dir=self._folder))
        if (past := self._folder / "past").exists() and contender.remembers:
            shutil.copytree(past, place, dirs_exist_ok=True)
        began = time.perf_counter()
        running = Running(contender, place)
        request = self.asking.requests(contender, "whole", 1)[0][:1]
        while True:
            with suppress(OSError):
                sample = (await drive(running.port, [request])).samples[0]
                if sample.status == 200:
                    return running, time.perf_counter() - began
            if time.perf_counter() > began + PATIENCE_SECONDS:
                running.end()
                raise RuntimeError(f"{contender.name} did not answer: {place / 'log'}")
            await asyncio.sleep(0.002)

    async def block(self, running: Running | None, form: str, people: int) -> Figures:
        """Raises `WrongAnswer`. None: straight to the upstream."""
        asked = self.asking.requests(running.contender if running else None, form, people)
        port = running.port if running else self._upstream
        before = running.cpu_seconds() if running else 0.0
        with pinned():
            block = await drive_for(port, asked, self._plan.seconds)
        after = running.cpu_seconds() if running else 0.0
        for sample in block.samples:
            ending = b"[DONE]" if form == "stream" else b"}"
            if sample.status != 200 or not sample.body.rstrip().endswith(ending):
                raise WrongAnswer(f"answered {sample.status}: {sample.body[:300]!r}")
        return Figures.of(block, after - before)


Cells = Mapping[tuple[int, str, str], list[Figures]]
Weights = Mapping[str, list[float]]


async def measured(
    bench: Bench, contenders: Sequence[Contender], plan: Plan
) -> tuple[Cells, Weights]:
    """Figures of every cell, and megabytes after the first answer and after the load."""
    cells: defaultdict[tuple[int, str, str], list[Figures]] = defaultdict(list)
    weights: dict[str, list[float]] = {}
    with ExitStack() as stack:
        running: list[Running | None] = [None]
        for contender in contenders:
            one, _ = await bench.started(contender)
            stack.callback(one.end)
            weights[contender.name] = [one.megabytes()]
            running.append(one)
        grid = list(itertools.product(plan.concurrencies, FORMS))
        for number in range(plan.rounds):
            order = running[number % len(running) :] + running[: number % len(running)]
            for (people, form), each in itertools.product(grid, order):
                name = each.contender.name if each else STRAIGHT
                try:
                    cells[people, form, name].append(await bench.block(each, form, people))
                except WrongAnswer as wrong:
                    print(f"{name}, {form}: {wrong}", file=sys.stderr, flush=True)
            print(f"round {number + 1} of {plan.rounds} done", file=sys.stderr, flush=True)
        for still in filter(None, running):
            weights[still.contender.name].append(still.megabytes())
    return cells, weights


async def cold_starts(
    bench: Bench, contenders: Sequence[Contender], times: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _, contender in itertools.product(range(times), contenders):
        running, taken = await bench.started(contender)
        running.end()
        seconds[contender.name].append(taken)
    return seconds


async def growth(bench: Bench, contender: Contender, requests: int) -> Iterator[str]:
    """What is resident as requests go by, eight times."""
    running, _ = await bench.started(contender)
    told = []
    try:
        done = 0
        while done < requests:
            each = max(1, requests // 8 // 16)
            asked = bench.asking.requests(contender, "whole", 16)
            for _ in range(-(-each // ASKED)):
                done += len((await drive(running.port, asked)).samples)
            told.append(f"{done:>10,} {running.megabytes():>8.0f} MB")
    finally:
        running.end()
    return iter(told)


def table(cells: Cells, names: Sequence[str], plan: Plan) -> Iterator[str]:
    heads = ("req/s", "p50 ms", "added", "p99 ms", "first ms", "added", "cpu us")
    rated = [name for name in RATED if name in names]
    for people, form in itertools.product(plan.concurrencies, FORMS):
        yield _row(f"{form}, concurrency {people}", [*heads, *(f"x {one}" for one in rated)])
        answered = [name for name in names if cells[people, form, name]]
        found = {name: Figures.median(cells[people, form, name]) for name in answered}
        straight = found[STRAIGHT]
        for name in (one for one in names if one not in found):
            yield _row(f"  {name}", ["no answer"])
        for name, one in found.items():
            texts = [f"{one.per_second:,.0f}", f"{one.p50:.2f}", f"{one.p50 - straight.p50:.2f}"]
            texts += [f"{one.p99:.2f}", f"{one.first:.2f}", f"{one.first - straight.first:.2f}"]
            texts += [f"{one.cpu:,.0f}"]
            texts += [
                f"{one.per_second / found[other].per_second:.2f}" if other in found else "-"
                for other in rated
            ]
            yield _row(f"  {name}", texts)
        yield ""


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<26}" + "".join(f"{cell:>15}" for cell in cells)


def tell_pasts(
    folder: Path, settings: Mapping[str, str], history: Sequence[Message], people: int
) -> None:
    """Everybody's 200 turns, into the store that `settings` name or into a file in `folder`."""
    unlimited = dict.fromkeys(("REQUESTS_PER_MINUTE", "TOKENS_PER_MINUTE"), "0")
    keys = ",".join(f"{key(person)}:{key(person)}" for person in range(PEOPLE))
    body = {"messages": [{**message, "session_id": "bench"} for message in history]}
    folder.mkdir(exist_ok=True)
    with (
        serving(folder, **unlimited, **settings, API_KEYS=keys) as service,
        httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False) as http,
    ):
        for person in range(people):
            headers = {"authorization": f"Bearer {key(person)}"}
            http.post("/v1/messages", json=body, headers=headers).raise_for_status()


def chosen(
    upstream: int, emulator: Mapping[str, str], given: argparse.Namespace
) -> list[Contender]:
    sqlite = {"STORE_URL": "sqlite:///memory.db"}
    found = [
        bare(given.python, "httpx", upstream),
        bare(given.python, "aiohttp", upstream),
        ours(given.python, OFF, upstream, sqlite, memory=False),
        ours(given.python, ON, upstream, sqlite, memory=True),
    ]
    if emulator:
        found.append(ours(given.python, FIRESTORE, upstream, emulator, memory=True))
    given.cache.mkdir(parents=True, exist_ok=True)
    found += [PEERS[name](upstream, given.cache) for name in given.peers.split(",") if name]
    only = {name.strip() for name in given.only.split(";") if name.strip()}
    return [one for one in found if not only or one.name in only]


async def run(given: argparse.Namespace) -> None:
    plan = QUICK if given.quick else FULL
    talk = Talk(Random(SEED))
    history = talk.history(TURNS)
    asking = Asking(talk, history)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(canned_upstream())
        store: Mapping[str, str] = {}
        try:
            if not given.only or FIRESTORE in given.only:
                store = firestore(stack.enter_context(Emulator()), "bench")
        except EmulatorMissing as missing:
            print(f"without the Firestore emulator: {missing}")
        contenders = chosen(upstream, store, given)
        people = max(plan.concurrencies)
        if any(one.name == ON for one in contenders):
            tell_pasts(folder / "past", {}, history, people)
        if any(one.name == FIRESTORE for one in contenders):
            tell_pasts(folder / "told", store, history, people)
        bench = Bench(upstream, folder, plan, asking)
        starts = await cold_starts(bench, contenders, plan.starts)
        cells, weights = await measured(bench, contenders, plan)
        _say(cells, weights, starts, plan)
        for contender in (one for one in contenders if one.name in {OFF, ON}):
            count = given.growth or plan.growth
            print(f"resident after so many requests, {contender.name}")
            print("\n".join(await growth(bench, contender, count)), flush=True)


def _say(cells: Cells, weights: Weights, starts: Mapping[str, list[float]], plan: Plan) -> None:
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load average {load:.1f};")
    print(f"{plan.rounds} rounds of {plan.seconds:g} s a block; {TURNS} turns of history\n")
    print("\n".join(table(cells, [STRAIGHT, *weights], plan)))
    print(_row("starts and memory", ("first answer s", "x bare httpx", "idle MB", "loaded MB")))
    usual = {name: statistics.median(each) for name, each in starts.items()}
    for name, (idle, loaded) in weights.items():
        ratio = usual[name] / usual.get("bare httpx", usual[name])
        row = (f"{usual[name]:.2f}", f"{ratio:.2f}", f"{idle:.0f}", f"{loaded:.0f}")
        print(_row(f"  {name}", row))
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of short blocks")
    parser.add_argument("--peers", default="", help=f"any of {','.join(PEERS)}")
    parser.add_argument("--only", default="", help="names of contenders, with ; between")
    parser.add_argument("--growth", type=int, default=0, help="requests; 200000 takes minutes")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="whose packages the proxies run on: those for tests make httpx import a terminal's",
    )
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/memory-ops-bench")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
