"""SIGTERM as Cloud Run sends it: what is acknowledged is stored, what is not is ended in order."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fire.reckoning import Ledger
from support.chats import Json, Person, user
from support.service import Service
from support.upstream import Answer, Gate, LoopbackUpstream, Signal, chunks, completion, sse, usage

pytestmark = pytest.mark.service

HEADERS = {"x-api-key": "sk-alice"}
HELD = 1_000_000  # tokens that each request reserves: one that leaks shows


@pytest.fixture
def closing(tmp_path: Path, upstream: LoopbackUpstream) -> Iterator[Service]:
    """A service that gives open requests half a second."""
    with Service(tmp_path, UPSTREAM_BASE=upstream.base_url, DRAIN_SECONDS="0.5") as service:
        yield service


class Asked:
    """One turn in a thread: what came of it when it is over."""

    def __init__(self, service: Service, session: str, *, stream: bool) -> None:
        self.status, self.body, self.whole = 0, b"", False
        self.begun = Signal()
        self._service, self._session, self._stream = service, session, stream
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def over(self) -> "Asked":
        self._thread.join()
        return self

    def _ask(self) -> None:
        body = {"model": "m", "messages": [user(self._session)], "stream": self._stream}
        headers = {**HEADERS, "x-session-id": self._session}
        with (
            httpx.Client(base_url=self._service.url, timeout=30, trust_env=False) as http,
            http.stream(
                "POST", "/v1/chat/completions", json={**body, "max_tokens": HELD}, headers=headers
            ) as answer,
        ):
            self.status = answer.status_code
            try:
                for piece in answer.iter_raw():
                    self.body += piece
                    self.begun.set()
                self.whole = True
            except httpx.RemoteProtocolError:
                pass


def stored(service: Service, session: str) -> list[Json]:
    with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as http:
        return Person(http, HEADERS).told_or_none(session)


def test_a_stream_that_ends_in_time_is_whole_and_stored(
    closing: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    gate, events = Gate(), sse(*chunks("All of it."), "[DONE]")
    upstream.queue(Answer.stream(events[0], gate, *events[1:]))
    asked = Asked(closing, "whole", stream=True)
    asked.begun.wait_blocking()
    closing.close_down()
    gate.open()
    asked.over()
    assert asked.body.endswith(b"data: [DONE]\n\n")
    assert closing.wait_until_gone() == 0
    closing.start()
    assert [one["role"] for one in stored(closing, "whole")] == ["user", "assistant"]
    assert 0 < Ledger(tmp_path).tokens_counted() < HELD


def test_a_stream_without_end_is_cut_stored_as_interrupted_and_settled(
    closing: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    upstream.queue(Answer.stream(*sse(*chunks("Half of it")[:2]), Gate()))
    asked = Asked(closing, "half", stream=True)
    asked.begun.wait_blocking()
    closing.close_down()
    asked.over()
    assert (asked.status, asked.whole) == (200, False)
    assert closing.wait_until_gone() == 0
    closing.start()
    question, answer = stored(closing, "half")
    assert question["content"] == "half"
    assert answer["interrupted"] is True
    assert 0 < Ledger(tmp_path).tokens_counted() < HELD


def test_who_waits_for_a_whole_answer_is_told_to_ask_again_and_holds_nothing(
    closing: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    gate = Gate()
    upstream.queue(Answer.json(completion("Too late.")))
    upstream.default = Answer(200, {"content-type": "application/json"}, b"{}", before=gate)
    first = Asked(closing, "first", stream=False).over()
    asked = Asked(closing, "late", stream=False)
    gate.reached.wait_blocking()
    closing.close_down()
    asked.over()
    assert (first.status, asked.status) == (200, 503)
    assert b"instance_closing" in asked.body
    assert closing.wait_until_gone() == 0
    closing.start()
    assert stored(closing, "late") == []
    assert Ledger(tmp_path).tokens_counted() == usage()["total_tokens"]  # the first one's
