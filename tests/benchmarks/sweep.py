"""What a round of the retention sweep costs, over a made-up store of thousands of owners.

    PYTHONPATH=functions python tests/benchmarks/sweep.py [--quick]

2,000 owners with 200 turns each in four sessions: fifty made through the log as turns make them,
the others their copies. Half of them have talked for three weeks; a third for sixty days, so that
part of what they said is due; the rest left two months ago. Some of their messages matter (they
tell a name and a number), and some were used since.

Three rounds: the first, which has all the arrears; the next day's; and that again, which finds what
was kept by the receipts of messages that had left themselves. The store is made by another process,
so that this one's memory is the sweep's alone: the most it ever held, beside what one owner and the
whole store weigh. There is no pass and no fail.
"""

import argparse
import asyncio
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from gateway.documents.base import Document, Documents, Set
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.memory.growth import Addition
from gateway.memory.heads import Owner
from gateway.memory.log import MessageLog
from gateway.memory.records import Record, new_id
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Report, Sweep
from support.memories import NOON, record

SEED = 7
OWNERS, QUICK_OWNERS = 2000, 100
MADE = 50
TURNS = 200
SESSIONS = 4
BUDGET_SECONDS = 240.0
MEBIBYTE = 1024 * 1024
SYLLABLES = ("ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ra", "si", "tun")


@dataclass(frozen=True, slots=True)
class Kind:
    """Owners alike: how many of fifty, and between which days before now they talked."""

    of_fifty: int
    first_day: float
    last_day: float


KINDS = (Kind(25, 21, 0), Kind(16, 60, 0), Kind(9, 120, 60))


class Watched(MeteredDocuments):
    """Which segments were read."""

    def __init__(self, inner: Documents) -> None:
        super().__init__(inner)
        self.segments: set[str] = set()

    async def get(self, *paths: str) -> list[Document | None]:
        self.segments.update(path for path in paths if "/segments/" in path)
        return await super().get(*paths)


@dataclass(slots=True)
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


def kind_of(owner: int) -> Kind:
    return [kind for kind in KINDS for _ in range(kind.of_fifty)][owner % MADE]


def make(file: str, owners: int) -> None:
    asyncio.run(_make(file, owners))


async def _make(file: str, owners: int) -> None:
    documents = SqliteDocuments(file)
    for number in tqdm(range(MADE), desc="make", unit="owner", leave=False):
        await _make_owner(documents, number)
    made = await documents.list("owners", limit=MADE)
    for number in tqdm(range(MADE, owners), desc="copy", unit="owner", leave=False):
        await _copy(documents, made[number % MADE], f"owners/copy-{number}")
    await documents.close()


async def _copy(documents: Documents, owner: Document, path: str) -> None:
    found = [owner]
    for name in ("sessions", "segments"):
        found += await documents.list(f"{owner.path}/{name}")
    await documents.commit(
        *(Set(path + each.path.removeprefix(owner.path), each.fields) for each in found)
    )


async def _make_owner(documents: Documents, number: int) -> None:
    """Sessions one after another, each in two appends, as `POST /v1/messages` would."""
    randomness, kind, owner = Random(SEED + number), kind_of(number), f"key:owner-{number}"
    clock = Clock(NOON)
    log = MessageLog(documents, clock, randomness)
    step = (kind.first_day - kind.last_day) * DAY_SECONDS / TURNS
    said: list[str] = []
    turn = 0
    for session in range(SESSIONS):
        for _ in range(2):
            records: list[Record] = []
            for _ in range(TURNS // SESSIONS // 2):
                clock.now = NOON - kind.first_day * DAY_SECONDS + turn * step
                records += _turn(randomness, clock.now, owner, said)
                turn += 1
            key = new_id(clock.now, randomness.getrandbits, "k")
            addition = Addition(key, records)
            await log.append(owner, f"s{session}", lambda _, added=addition: added)  # type: ignore[misc]


def _turn(randomness: Random, at: float, owner: str, said: list[str]) -> list[Record]:
    text = " ".join(_words(randomness, 30))
    if randomness.random() < 0.1:
        text = f"My neighbour is called {text.title()[:12]} and is {randomness.randrange(90)}"
    question = record(randomness, "user", text, at=at, owner=owner)
    if said and randomness.random() < 0.2:
        lines = [{"id": one} for one in randomness.sample(said[-100:], min(3, len(said)))]
        receipt = {"id": new_id(at, randomness.getrandbits, "r"), "created_at": at, "lines": lines}
        question = replace(question, receipt=receipt)
    answer = record(randomness, "assistant", " ".join(_words(randomness, 300)), at=at, owner=owner)
    said.append(question.id)
    return [question, answer]


def _words(randomness: Random, count: int) -> Iterator[str]:
    for _ in range(count):
        yield "".join(randomness.choices(SYLLABLES, k=randomness.choice((1, 2, 2, 3))))


async def measure(file: str, store_mebibytes: float) -> None:
    documents = Watched(SqliteDocuments(file))
    segments, largest = await _described(documents)
    print(f"{'round':14}{'owners':>8}{'owners/s':>10}{'runs':>6}{'reads/owner':>13}", end="")
    print(f"{'segments read':>15}{'skipped':>9}{'archived':>10}{'owners skipped':>16}")
    before = _peak_mebibytes()
    for name, days in (("first", 0.0), ("the next day", 1.0), ("and again", 1.0)):
        await _round(documents, name, NOON + days * DAY_SECONDS, segments)
    print(
        f"\npeak memory {before:.0f} MiB before the sweep, {_peak_mebibytes():.0f} MiB after;",
        end="",
    )
    print(f" the largest owner {largest / MEBIBYTE:.2f} MiB, the store {store_mebibytes:.0f} MiB")
    await documents.close()


async def _round(documents: Watched, name: str, now: float, segments: int) -> None:
    """Runs until the round is whole, as the scheduler's would."""
    documents.reset()
    documents.segments.clear()
    begun = time.perf_counter()
    sweep = Sweep(
        documents,
        lambda: now + time.perf_counter() - begun,
        Random(SEED),
        Policy(),
        BUDGET_SECONDS,
    )
    reports = [await sweep.run()]
    while reports[-1].cursor:
        reports.append(await sweep.run())
    _print(name, reports, time.perf_counter() - begun, len(documents.segments), segments)


def _print(name: str, reports: list[Report], seconds: float, read: int, segments: int) -> None:
    owners = sum(each.owners for each in reports)
    reads = sum(each.documents_read for each in reports) / owners
    archived = sum(each.tally.archived for each in reports)
    skipped = sum(each.tally.skipped for each in reports) / owners
    assert not any(each.failed for each in reports)
    print(f"{name:14}{owners:8}{owners / seconds:10.0f}{len(reports):6}{reads:13.1f}", end="")
    print(f"{read:15}{1 - read / segments:9.0%}{archived:10}{skipped:16.0%}", flush=True)


async def _described(documents: Documents) -> tuple[int, int]:
    """How many segments there are, and the bytes of the largest owner's."""
    count, largest, after = 0, 0, None
    while page := await documents.list("owners", after=after, limit=100):
        after = page[-1].id
        manifests = [Owner.of(document).segments for document in page]
        count += sum(map(len, manifests))
        largest = max(largest, *(sum(one.bytes for one in each) for each in manifests))
    return count, largest


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_OWNERS} owners")
    owners = QUICK_OWNERS if parser.parse_args().quick else OWNERS
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "memory.db")
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(file, owners))
        maker.start()
        maker.join()
        asyncio.run(measure(file, Path(file).stat().st_size / MEBIBYTE))


if __name__ == "__main__":
    main()
