"""What the store bills for everything a person does, and the money for a million turns.

    python tests/benchmarks/operations.py [--prices READ WRITE DELETE]

Each case of `support/operations.py` is played on SQLite behind the meter; `tests/memory/
test_operations.py` holds the same figures on the Firestore emulator. Money is for a million times
the case, in dollars, without storage and network.

Prices are Firestore's (Standard edition) for 100,000 documents, from
https://cloud.google.com/firestore/pricing: by default those of the multi-regions (0.06 a read, 0.18
a write, 0.02 a delete, as for `nam5`), twice those of the cheapest single regions (0.03, 0.09, 0.01
in Oregon). Look up your own location's: ratios hold in all of them, as their three prices keep the
proportion.

Beside it stands the design that most stores of chats have, a document for each message, as a model:
a turn reads its session's document and the messages it sends along, and writes two messages and the
session's counters; admission and settlement at the limiter are the same two writes. It is asked for
the last twenty messages, which is no memory, or for all of the session's, or for all of the
person's, which is what there is to be ranked. Both are played over the same past: sessions of
twenty turns, each begun on an instance that knows nothing.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from support.operations import CASES, Case, Past

MULTI_REGION = (0.06, 0.18, 0.02)
PER = 100_000
MILLION = 1_000_000
SESSIONS, TURNS = 25, 20
RECENT = 20
LIMITER_WRITES = 2

Prices = Sequence[float]


async def lived(past: Past) -> Operations:
    """All that a person's turns cost, sessions opened and tails rolled over included."""
    total = Operations()
    for session in range(SESSIONS):
        gateway = past.gateway()
        for turn in range(TURNS):
            asked = f"What did I say of w{session} and w{turn * 50}, if anything? {turn}"
            counted = await past.cost(gateway.says(asked, session=f"lived{session}"))
            total.reads += counted.reads
            total.writes += counted.writes
    return total


def message_documents() -> dict[str, Operations]:
    """The same person in a design of one document for each message."""
    turns = [(session, turn) for session in range(SESSIONS) for turn in range(TURNS)]
    sent = {
        f"the last {RECENT} messages": sum(min(RECENT, 2 * turn) for _, turn in turns),
        "all of the session": sum(2 * turn for _, turn in turns),
        "all of the person": sum(2 * (session * TURNS + turn) for session, turn in turns),
    }
    writes = (2 + 1 + LIMITER_WRITES) * len(turns)
    return {
        f"a document a message, {name}": Operations(len(turns) + messages, writes)
        for name, messages in sent.items()
    }


def dollars(operations: Operations, prices: Prices, times: float = MILLION) -> float:
    counts = (operations.reads, operations.writes, operations.deletes)
    return times * sum(n * price / PER for n, price in zip(counts, prices, strict=True))


async def measured(cases: Mapping[str, Case]) -> dict[str, Operations]:
    found = {}
    for name, case in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            documents = MeteredDocuments(SqliteDocuments(str(Path(folder) / "memory.db")))
            found[name] = await case(Past(documents))
            await documents.close()
    return found


def print_cases(found: Mapping[str, Operations], prices: Prices) -> None:
    print("| | reads | writes | deletes | $ per million |\n|---|---:|---:|---:|---:|")
    for name, one in found.items():
        money = dollars(one, prices)
        print(f"| {name} | {one.reads} | {one.writes} | {one.deletes} | {money:,.2f} |")


def print_lives(found: Mapping[str, Operations], prices: Prices) -> None:
    count = SESSIONS * TURNS
    print(f"\n{count} turns of one person, {SESSIONS} sessions of {TURNS}: a turn on average\n")
    print("| | reads | writes | $ per million turns | ratio |\n|---|---:|---:|---:|---:|")
    ours = dollars(next(iter(found.values())), prices)
    for name, one in found.items():
        money, ratio = dollars(one, prices, MILLION / count), dollars(one, prices) / ours
        reads, writes = one.reads / count, one.writes / count
        print(f"| {name} | {reads:.2f} | {writes:.2f} | {money:,.2f} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--prices",
        nargs=3,
        type=float,
        default=MULTI_REGION,
        metavar=("READ", "WRITE", "DELETE"),
        help="dollars for 100,000 documents",
    )
    prices: Prices = parser.parse_args().prices
    print_cases(asyncio.run(measured(CASES)), prices)
    lives = asyncio.run(measured({"this service": lived}))
    print_lives({**lives, **message_documents()}, prices)


if __name__ == "__main__":
    main()
