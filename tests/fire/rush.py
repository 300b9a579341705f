"""A hundred and more at once on one route, each on an open connection of its own."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import orjson

from benchmarks.load import Sample, drive
from support.service import Service

AT_ONCE = 100
ROUNDS = 3


def rushes(
    service: Service, key: str, at_once: int = AT_ONCE, rounds: int = ROUNDS
) -> Iterator[str]:
    """A row for each route. Raises `RuntimeError` where an answer is not the expected one."""
    named = {"x-api-key": key}
    search = {"query": "Which word is rush 7?", "top_k": 5}
    for title, path, status, body in (
        ("POST /v1/messages", "/v1/messages", 201, None),
        ("POST /v1/memory/search", "/v1/memory/search", 200, search),
    ):
        samples: list[Sample] = []
        for number in range(rounds):
            asked = [[_request(path, body or _note(number, n), named)] for n in range(at_once)]
            samples += asyncio.run(drive(service.port, asked)).samples
        if unexpected := {one.status for one in samples} - {status}:
            raise RuntimeError(f"{title} answered {unexpected}")
        yield _figures(f"{at_once} at once, {title}", samples)


def _note(number: int, n: int) -> Mapping[str, object]:
    return {"content": f"The word of rush {number} is number {n}.", "session_id": f"rush-{n % 2}"}


def _request(path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    content = orjson.dumps(body)
    named = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(content)),
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + content


def _figures(title: str, samples: Sequence[Sample]) -> str:
    ordered = sorted(1000 * one.seconds for one in samples)
    p50, p95, p99 = (ordered[int(share * len(ordered))] for share in (0.5, 0.95, 0.99))
    statuses = Counter(one.status for one in samples)
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return f"{title:<46}p50 {p50:.0f} ms   p95 {p95:.0f} ms   p99 {p99:.0f} ms   {counts}"
