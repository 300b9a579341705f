"""`make bench`: what the service adds to a request, side by side with the same one sent straight.

Three variants of one request, against one upstream on loopback that answers at once: straight to
it; through the service with `X-Memory: off`; through it with memory on, where the session has 200
turns behind it (about 40,000 tokens, replayed by `POST /v1/messages`) and only the new message is
sent. All of the path is real: functions-framework in its own process, SQLite, keys, limits that are
counted but never reached, the answer stored before it is returned. Each connection is a person with
a key and a history of its own.

Whole answers and streams of 50 chunks, at concurrency 1 and 16, in rounds: each round starts the
service on an empty store and runs one block of every variant, in turning order, so that a busy
machine hits all alike and no history grows by more than a round. Streams come without pauses, which
no model does: the time added to one is spread over its chunks. `first` is the time to the first
byte of the body. Before the blocks each person asks one question that no figure contains; where
memory is on that one builds the indexes, and it is printed by itself.

Client and upstream are held to different CPUs, where there are two (`load.apart` says why), and the
service to none. The ratio compares with an upstream that takes no time; the milliseconds are what a
user pays. Then two steps alone, in this process: the compression of one question over the same
history, and the limiter's admission. There is no pass and no fail.
"""

import argparse
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import uvloop
from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from benchmarks.load import Block, Sample, apart, canned_upstream, chat_request, drive, pinned
from benchmarks.talk import Message, Talk
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.conversation import conversation_of
from gateway.chat.threads import spoken
from gateway.chat.wire import ChatRequest
from gateway.documents.sqlite import SqliteDocuments
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.intake import Given, Intake
from gateway.memory.log import MessageLog
from gateway.memory.recall import IndexCache, Recall
from gateway.retrieval.lexical import LexicalRanker
from gateway.tokens.rs_bpe import RsBpeTokenizer
from support.service import Service, serving

SEED = 7
TURNS = 200
SESSION = "bench"
VARIANTS = ("straight", "memory off", "memory on")
FORMS = ("whole", "stream")
REQUESTS = {1: 300, 16: 1000}  # by concurrency
ROUNDS = 6
STEPS = 300
MOST_SECONDS = 600.0
NEVER_REACHED = 1_000_000_000
INDEX_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    concurrency: int
    form: str
    variant: str


@dataclass(slots=True)
class Figures:
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, block: Block) -> None:
        self.samples.extend(block.samples)
        self.seconds += block.seconds

    def ms(self, share: float, *, first: bool = False) -> float:
        return _ms([one.first_seconds if first else one.seconds for one in self.samples], share)

    @property
    def per_second(self) -> float:
        return len(self.samples) / self.seconds


class Round:
    """One start of the service on an empty store, every person's past told."""

    def __init__(self, upstream: int, service: Service, talk: Talk, history: Sequence[Message]):
        self._ports = dict.fromkeys(VARIANTS, service.port) | {"straight": upstream}
        self._talk = talk
        self._history = history

    async def block(self, cell: Cell, each: int) -> Block:
        """`each` requests on every connection. Raises RuntimeError for a wrong answer."""
        people = range(cell.concurrency)
        asked = [[self._request(cell, person) for _ in range(each)] for person in people]
        with pinned():
            block = await drive(self._ports[cell.variant], asked)
        for sample in block.samples:
            _check(cell, sample)
        return block

    def _request(self, cell: Cell, person: int) -> bytes:
        question = {"role": "user", "content": self._talk.question(self._history)}
        payload: dict[str, object] = {"model": "canned", "messages": [question]}
        if cell.form == "stream":
            payload["stream"] = True
        return chat_request(payload, _headers(cell, person))


def _headers(cell: Cell, person: int) -> Mapping[str, str]:
    key = {"authorization": f"Bearer {_key(cell.concurrency, person)}"}
    match cell.variant:
        case "memory off":
            return {**key, "x-memory": "off"}
        case "memory on":
            return {**key, "x-session-id": SESSION}
    return {}


def _check(cell: Cell, sample: Sample) -> None:
    statuses = {"memory off": {"off"}, "memory on": {"hit", "miss"}}.get(cell.variant, {None})
    known = sample.headers.get("x-memory-status") in statuses
    ending = b"[DONE]\n\n" if cell.form == "stream" else b"}"
    if sample.status != 200 or not known or not sample.body.endswith(ending):
        raise RuntimeError(f"{cell} was answered {sample.status}: {sample.body[:300]!r}")


def _key(concurrency: int, person: int) -> str:
    return f"sk-{concurrency}-{person}"


def _settings(upstream: int) -> dict[str, str]:
    keys = [_key(concurrency, person) for concurrency in REQUESTS for person in range(concurrency)]
    return {
        "UPSTREAM_BASE": f"http://127.0.0.1:{upstream}",
        "API_KEYS": ",".join(f"{key}:{key}" for key in keys),
        "REQUESTS_PER_MINUTE": str(NEVER_REACHED),
        "TOKENS_PER_MINUTE": str(NEVER_REACHED),
        "GLOBAL_REQUESTS_PER_MINUTE": str(NEVER_REACHED),
    }


def tell_pasts(service: Service, history: Sequence[Message]) -> None:
    body = {"messages": [{**message, "session_id": SESSION} for message in history]}
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as http:
        for concurrency in REQUESTS:
            for person in range(concurrency):
                key = {"authorization": f"Bearer {_key(concurrency, person)}"}
                http.post("/v1/messages", json=body, headers=key).raise_for_status()


async def measure(rounds: int, scale: float) -> tuple[dict[Cell, Figures], list[float]]:
    """Figures of every cell, and the seconds of first questions, one a round."""
    talk = Talk(Random(SEED))
    history = talk.history(TURNS)
    cells = [Cell(*one) for one in itertools.product(REQUESTS, FORMS, VARIANTS)]
    figures = {cell: Figures() for cell in cells}
    firsts: list[float] = []
    ends = time.perf_counter() + MOST_SECONDS
    with canned_upstream() as upstream, tqdm(total=rounds * len(cells), unit="block") as bar:
        for number in range(rounds):
            if time.perf_counter() > ends:
                bar.write(f"stopped after {number} rounds: {MOST_SECONDS:.0f} seconds are over")
                break
            with (
                tempfile.TemporaryDirectory() as folder,
                serving(Path(folder), **_settings(upstream)) as service,
            ):
                tell_pasts(service, history)
                one = Round(upstream, service, talk, history)
                for cell in cells[number % len(cells) :] + cells[: number % len(cells)]:
                    each = max(1, round(scale * REQUESTS[cell.concurrency] / cell.concurrency))
                    warming = await one.block(cell, 1)
                    if cell == Cell(1, "whole", "memory on"):
                        firsts.append(warming.samples[0].seconds)
                    figures[cell].add(await one.block(cell, each))
                    bar.update()
    return figures, firsts


def table(figures: Mapping[Cell, Figures]) -> Iterator[str]:
    heads = ("x straight", "added ms", "p50 ms", "p95 ms", "p99 ms", "req/s", "n")
    streamed = ("first ms", "added ms")
    for concurrency, form in itertools.product(REQUESTS, FORMS):
        titles = (*heads, *(streamed if form == "stream" else ()))
        yield f"{f'{form}, concurrency {concurrency}':<24}" + _cells(titles)
        straight = figures[Cell(concurrency, form, VARIANTS[0])]
        for variant in VARIANTS:
            own = figures[Cell(concurrency, form, variant)]
            row = [own.ms(0.5) / straight.ms(0.5), own.ms(0.5) - straight.ms(0.5)]
            row += [own.ms(share) for share in (0.5, 0.95, 0.99)]
            texts = [*(f"{value:.2f}" for value in row), f"{own.per_second:,.0f}"]
            texts.append(str(len(own.samples)))
            if form == "stream":
                first = own.ms(0.5, first=True)
                texts += [f"{first:.2f}", f"{first - straight.ms(0.5, first=True):.2f}"]
            yield f"  {variant:<22}" + _cells(texts)
        yield ""


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"{text:>11}" for text in texts)


def _ms(seconds: Sequence[float], share: float) -> float:
    """The nearest-rank percentile in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def hits(figures: Mapping[Cell, Figures]) -> str:
    """Whether memory was at work: what the service itself said of the requests with it on."""
    remembering = [f for cell, f in figures.items() if cell.variant == "memory on"]
    headers = [sample.headers for f in remembering for sample in f.samples]
    share = sum(one["x-memory-status"] == "hit" for one in headers) / len(headers)
    after = sum(int(one["x-tokens-after"]) for one in headers) / len(headers)
    before = sum(int(one["x-tokens-before"]) for one in headers) / len(headers)
    own = _ms([float(one["x-memory-latency-ms"]) / 1000 for one in headers], 0.5)
    return (
        f"memory on: {share:.0%} of the requests had lines injected; {before:,.0f} tokens before,"
        f" {after:,.0f} after; x-memory-latency-ms p50 {own:.1f}"
    )


class Steps:
    """Two steps of a turn by themselves, in this process, on SQLite."""

    def __init__(self, folder: Path, talk: Talk, randomness: Random) -> None:
        self._documents = SqliteDocuments(str(folder / "steps.db"))
        self._talk = talk
        self._history = talk.history(TURNS)
        self._randomness = randomness
        self._log = MessageLog(self._documents, time.time, randomness)
        recall = Recall(self._documents, IndexCache(INDEX_BYTES))
        options = CompressionOptions()
        self._compressor = Compressor(recall, LexicalRanker(), RsBpeTokenizer(), options, time.time)

    async def tell_past(self) -> None:
        counts = self._compressor.count(self._history)
        pairs = zip(self._history, counts, strict=True)
        given = [Given(one["role"], one["content"], SESSION, tokens) for one, tokens in pairs]
        await Intake(self._log, time.time, self._randomness).store(SESSION, given)

    async def compress(self) -> float:
        """Seconds of one compression; reading the session's head is not in it."""
        asked = [{"role": "user", "content": self._talk.question(self._history)}]
        said = spoken(SESSION, asked)
        loaded = await self._log.load(SESSION, SESSION)
        payload = {"model": "canned", "messages": asked}
        conversation = conversation_of(
            SESSION,
            ChatRequest(b"", payload, asked),
            self._compressor.count(asked),
            self._compressor.fixed_tokens(payload),
            said,
            {0: "new"},
            loaded,
        )
        started = time.perf_counter()
        prompt = await self._compressor.compress(conversation)
        seconds = time.perf_counter() - started
        assert prompt.tokens_before > prompt.tokens_after
        return seconds

    async def admit(self) -> Sequence[float]:
        """Seconds of admissions, one after another, of a subject that has room."""
        limits = Limits(NEVER_REACHED, NEVER_REACHED, NEVER_REACHED)
        limiter = Limiter(self._documents, time.time, limits, "closed", self._randomness)
        found = []
        for _ in range(STEPS):
            started = time.perf_counter()
            await limiter.admit("key:bench", 500)
            found.append(time.perf_counter() - started)
        return found

    async def close(self) -> None:
        await self._documents.close()


async def steps() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        alone = Steps(Path(folder), Talk(Random(SEED)), Random(SEED))
        try:
            await alone.tell_past()
            first, *compressed = [await alone.compress() for _ in range(STEPS + 1)]
            admitted = await alone.admit()
        finally:
            await alone.close()
    return iter(
        [
            f"compression alone, {TURNS} turns: p50 {_ms(compressed, 0.5):.2f} ms,"
            f" p95 {_ms(compressed, 0.95):.2f} ms; the first, which indexes, {1000 * first:.1f} ms",
            f"limiter's admission alone, SQLite: p50 {1000 * _ms(admitted, 0.5):.0f} us,"
            f" p95 {1000 * _ms(admitted, 0.95):.0f} us",
        ]
    )


async def run(*, quick: bool) -> None:
    rounds = 2 if quick else ROUNDS
    figures, firsts = await measure(rounds, (0.1 if quick else 1.0) / rounds)
    cpus = apart()
    placed = (
        f"client on {cpus[0]}, upstream on {cpus[1]}" if cpus else "none to choose: ratios vary"
    )
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs: {placed}; {TURNS} turns of")
    print("history; ratios and added milliseconds are of the medians\n")
    print("\n".join(table(figures)))
    print(hits(figures))
    print(f"first question of a person, indexes not built yet: p50 {_ms(firsts, 0.5):.1f} ms")
    print("\n".join(await steps()))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the service adds to a request.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    uvloop.run(run(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
