"""The contract of `POST /v1/compress`: fewer tokens out, nothing kept, no upstream asked."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from gateway.chat.call import Call
from gateway.chat.compressing import CompressionDesk
from gateway.chat.compression import CompressionOptions, Compressor
from gateway.chat.threads import Threads
from gateway.chat.wire import parse_chat
from gateway.documents.sqlite import SqliteDocuments
from gateway.identity.base import Identity
from gateway.limits.base import Limits
from gateway.limits.limiter import Limiter
from gateway.memory.log import MessageLog
from gateway.memory.recall import Candidates, IndexCache, Recall
from gateway.redaction.redaction import Redaction
from gateway.retrieval.lexical import LexicalRanker
from gateway.tokens.rs_bpe import RsBpeTokenizer
from support.chats import (
    Json,
    Person,
    assistant,
    plain,
    remembered_texts,
    system,
    user,
)
from support.flags import switched_on
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

NOW = 1_700_000_000.0
DACHSHUND = "My dachshund is called Rex and sleeps under the stove."
QUESTION = user("What is my dachshund called?")
RECENT_TURNS = 6


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


def compress(person: Person, messages: list[Json], memory: str | None = None) -> httpx.Response:
    headers = {**person.headers, **({"x-memory": memory} if memory else {})}
    body = {"model": "m", "messages": messages}
    return person.http.post("/v1/compress", json=body, headers=headers).raise_for_status()


def filler(n: int) -> str:
    """Some 120 tokens that share no word with the question."""
    return " ".join(hashlib.sha256(f"{n}/{i}".encode()).hexdigest()[:8] for i in range(25))


def long_conversation() -> list[Json]:
    """Instructions, twenty turns of which the first tells of the dog, and the question."""
    turns = [user(DACHSHUND), assistant("Noted.")]
    for n in range(20):
        turns += [user(f"Remark {n}: {filler(n)}"), assistant(f"Reply {n}.")]
    return [system("Be brief."), *turns, QUESTION]


def test_a_short_conversation_comes_back_as_it_was(alice: Person) -> None:
    given = [system("Be brief."), user("Hello"), assistant("Hi"), QUESTION]
    told = compress(alice, given).json()
    assert told["messages"] == given
    assert told["tokens_before"] == told["tokens_after"] > 0
    assert (told["tokens_saved"], told["compression_ratio"]) == (0, 1.0)
    assert told["compression_skipped"] is False
    assert told["memory"]["lines"] == []


def test_a_long_conversation_gets_shorter(alice: Person) -> None:
    given = long_conversation()
    answer = compress(alice, given)
    told = answer.json()
    kept = plain(told["messages"])
    assert told["tokens_before"] > 3000 > told["tokens_after"] > 0
    assert told["tokens_saved"] == told["tokens_before"] - told["tokens_after"]
    assert told["compression_skipped"] is False
    assert kept[0] == given[0]
    assert kept[1:] == given[-(len(kept) - 1) :]
    assert RECENT_TURNS * 2 + 1 <= len(kept) - 1 < RECENT_TURNS * 4 + 1


def test_a_relevant_old_line_comes_back_right_before_the_question(alice: Person) -> None:
    told = compress(alice, long_conversation()).json()
    assert remembered_texts(told["messages"][-2:-1]) == [DACHSHUND, "Noted."]
    assert told["messages"][-1] == QUESTION
    assert told["memory"]["status"] == "hit"
    assert [line["rank"] for line in told["memory"]["lines"]] == [1, 2]
    assert all(line["score"] > 0 and line["tokens"] > 0 for line in told["memory"]["lines"])


def test_the_headers_tell_the_same_counts(alice: Person) -> None:
    answer = compress(alice, long_conversation())
    told = answer.json()
    for name in ("before", "after", "saved"):
        assert answer.headers[f"x-tokens-{name}"] == str(told[f"tokens_{name}"])
    assert answer.headers["x-memory-status"] == "hit"


@pytest.mark.parametrize("memory", [None, "write", "off"])
def test_unasked_nothing_of_the_callers_memory_is_brought_in(
    alice: Person, memory: str | None
) -> None:
    alice.knows(DACHSHUND)
    told = compress(alice, [QUESTION], memory).json()
    assert told["messages"] == [QUESTION]
    assert told["memory"]["lines"] == []


def test_asked_the_callers_memory_is_brought_in(alice: Person) -> None:
    alice.knows(DACHSHUND)
    told = compress(alice, [QUESTION], "read").json()
    assert remembered_texts(told["messages"]) == [DACHSHUND]
    assert plain(told["messages"]) == [QUESTION]
    assert told["tokens_after"] > told["tokens_before"]
    ids = {one["id"] for one in alice.told("notes")}
    assert {line["id"] for line in told["memory"]["lines"]} == ids


def test_somebody_elses_memory_is_not(alice: Person, http: httpx.Client, sign_in: Any) -> None:
    alice.knows(DACHSHUND)
    bob = Person(http, {"authorization": f"Bearer {sign_in()}"})
    assert compress(bob, [QUESTION], "read").json()["messages"] == [QUESTION]


@pytest.mark.parametrize("memory", [None, "read", "on"])
def test_nothing_is_stored_and_no_upstream_is_asked(
    alice: Person, upstream: LoopbackUpstream, memory: str | None
) -> None:
    alice.knows(DACHSHUND)
    before = [alice.told(session) for session in ("notes", "other")]
    compress(alice, long_conversation(), memory)
    assert [alice.told(session) for session in ("notes", "other")] == before
    assert {one["id"] for one in alice.sessions()} == {"notes", "other"}
    assert upstream.requests == []


def test_no_model_has_to_be_named(alice: Person) -> None:
    body = {"messages": [QUESTION]}
    answer = alice.http.post("/v1/compress", json=body, headers=alice.headers)
    assert answer.raise_for_status().json()["messages"] == [QUESTION]


class BrokenRecall(Recall):
    async def candidates(self, *_: Any) -> Candidates:
        raise RuntimeError("canary")


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[SqliteDocuments]:
    opened = SqliteDocuments(str(tmp_path / "memory.db"))
    yield opened
    await opened.close()


async def test_what_goes_wrong_gives_the_messages_back_unchanged(
    documents: SqliteDocuments, caplog: pytest.LogCaptureFixture
) -> None:
    randomness = Random(7)
    log = MessageLog(documents, lambda: NOW, randomness)
    desk = CompressionDesk(
        Limiter(documents, lambda: NOW, Limits(), "closed", randomness),
        Threads(documents, log, randomness),
        Compressor(
            BrokenRecall(documents, IndexCache(1_000_000)),
            LexicalRanker(),
            RsBpeTokenizer("o200k_base"),
            CompressionOptions(),
            lambda: NOW,
        ),
        lambda: NOW,
        randomness,
        switched_on(),
        Redaction(enabled=False),
    )
    given = long_conversation()
    request = parse_chat(orjson.dumps({"model": "m", "messages": given}))
    caller = Identity("key:alice", "key:alice")
    told, headers = await desk.compress(caller, request, Call(), with_memory=True)
    assert told["messages"] == given
    assert told["compression_skipped"] is True
    assert told["tokens_before"] == told["tokens_after"] > 3000
    assert told["tokens_saved"] == 0
    assert headers["x-ratelimit-remaining-requests"] == "59"
    assert "canary" not in caplog.text
