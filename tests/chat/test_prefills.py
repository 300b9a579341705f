"""Reading ahead: only what shall be stored, beside the turn, whatever comes of it."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.chat.prefills import Prefills
from gateway.chat.prompt import Prompt
from gateway.chat.turn import Turn
from gateway.chat.wire import ChatRequest
from gateway.limits.base import Reservation
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner
from gateway.retrieval.base import Passage
from gateway.retrieval.lexical import LexicalRanker

SAID = Passage("m1", "s", "user", "canary", 5, 0.0)


class Recording(LexicalRanker):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.told: list[tuple[str, int, Sequence[Passage]]] = []
        self.called = asyncio.Event()

    async def prefill(self, owner: str, epoch: int, passages: Sequence[Passage]) -> None:
        self.told.append((owner, epoch, passages))
        self.called.set()
        if self.error:
            raise self.error


def turn(*upcoming: Passage, writes: bool = True) -> Turn:
    return Turn(
        owner="alice",
        request=ChatRequest(b"", {}, []),
        said=[],
        message_ids={},
        loaded=Loaded(Owner(epoch=3), Head("s")),
        prompt=replace(Prompt([]), upcoming=upcoming),
        reservation=Reservation("alice", 0, 0.0),
        started=0.0,
        key="k",
        receipt_id="r",
        writes=writes,
    )


async def test_what_is_upcoming_is_read_ahead() -> None:
    ranker = Recording()
    Prefills(ranker).begin(turn(SAID))
    assert ranker.told == []  # not before the turn goes on
    await ranker.called.wait()
    assert ranker.told == [("alice", 3, (SAID,))]


async def test_nothing_is_read_ahead_that_is_not_stored_or_was_not_asked_for() -> None:
    ranker = Recording()
    prefills = Prefills(ranker)
    prefills.begin(turn(SAID, writes=False))
    prefills.begin(turn())
    prefills.begin(turn(SAID))
    await ranker.called.wait()
    assert len(ranker.told) == 1


async def test_an_error_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    ranker = Recording(RuntimeError("canary"))
    with caplog.at_level(logging.WARNING):
        Prefills(ranker).begin(turn(SAID))
        await ranker.called.wait()
        await asyncio.sleep(0)  # the task's last step
    (line,) = map(json.loads, caplog.messages)
    assert line == {"event": "prefill_failed", "severity": "WARNING", "error": "RuntimeError"}
