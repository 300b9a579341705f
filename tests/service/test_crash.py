"""Killed in the middle of a hundred turns: what was acknowledged is there, nothing is half-written.

The acknowledged turns are those whose whole body the client had.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import orjson
import pytest

from gateway.memory import manifest
from support.chats import Person, assistant, user
from support.service import Service
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

TURNS = 100
SESSIONS = 7
KILLED_AFTER = 30
HEADERS = {"x-api-key": "sk-alice"}


@pytest.fixture
def own(tmp_path: Path, running_upstream: LoopbackUpstream) -> Iterator[Service]:
    with Service(tmp_path, UPSTREAM_BASE=running_upstream.base_url) as service:
        yield service


async def turn(client: httpx.AsyncClient, number: int) -> None:
    """One turn, whole or streamed; raises unless all of the answer came."""
    stream = number % 2 == 0
    body = {"model": "m", "messages": [user(f"question {number}")], "stream": stream}
    headers = {**HEADERS, "x-session-id": f"s{number % SESSIONS}"}
    answer = await client.post("/v1/chat/completions", json=body, headers=headers)
    answer.raise_for_status()
    if stream and not answer.content.endswith(b"data: [DONE]\n\n"):
        raise httpx.ReadError("the stream was cut")


async def until_killed(service: Service) -> set[int]:
    """Send all turns at once and kill the service after `KILLED_AFTER` answers."""
    acknowledged: set[int] = set()
    limits = httpx.Limits(max_connections=TURNS)
    async with httpx.AsyncClient(
        base_url=service.url, timeout=20, limits=limits, trust_env=False
    ) as client:

        async def one(number: int) -> None:
            try:
                await turn(client, number)
            except httpx.HTTPError:
                return
            acknowledged.add(number)
            if len(acknowledged) == KILLED_AFTER:
                service.kill()

        await asyncio.gather(*(one(number) for number in range(TURNS)))
    return acknowledged


async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_half_written(
    own: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    acknowledged = await until_killed(own)
    assert KILLED_AFTER <= len(acknowledged) < TURNS
    own.start()
    with httpx.Client(base_url=own.url, timeout=20, trust_env=False) as http:
        alice = Person(http, HEADERS)
        told = {one["id"]: alice.told(one["id"]) for one in alice.sessions()}
        texts = Counter(one["content"] for messages in told.values() for one in messages)
        for number in acknowledged:
            assert texts[f"question {number}"] == texts[f"echo: question {number}"] == 1
        for messages in told.values():
            questions, answers = messages[::2], messages[1::2]
            assert len(questions) == len(answers)
            for question, answer in zip(questions, answers, strict=True):
                assert answer["content"] == f"echo: {question['content']}"
                assert answer["parent"] == question["id"]
            assert [one["parent"] for one in messages[1:]] == [one["id"] for one in messages[:-1]]
        assert max(texts.values()) == 1
        assert all(one["messages"] == len(told[one["id"]]) for one in alice.sessions())
        alice.says(user("and after?"), session="s0")
        assert alice.told("s0")[-1]["content"] == assistant("echo: and after?")["content"]
    assert manifest_is_true(tmp_path / "memory.db")


def manifest_is_true(file: Path) -> bool:
    """Whether the owner's document says of each segment what the segment holds."""
    with closing(sqlite3.connect(file)) as db:
        rows = db.execute("SELECT path, fields FROM documents").fetchall()
    documents = {path: orjson.loads(fields) for path, fields in rows}
    (owner,) = (one for path, one in documents.items() if path.count("/") == 1 and "open" in one)
    segments = [one for path, one in sorted(documents.items()) if "/segments/" in path]
    stated = [(one.version, one.count) for one in manifest.unpacked(owner)]
    heads = [one for path, one in documents.items() if "/sessions/" in path]
    held = [(one["version"], len(orjson.loads(one["records"]))) for one in segments]
    return stated == held and owner["sessions"] == len(heads)
