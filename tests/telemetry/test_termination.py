"""What is left of the spans goes out when the process is told to end, once and within its time."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gateway.telemetry.opentelemetry import before_termination

PATIENCE_SECONDS = 20.0


class Ending:
    """What SIGTERM has come to, in its order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.passed_on = threading.Event()

    def handle(self, *_: object) -> None:
        self.told.append("passed on")
        self.passed_on.set()


@pytest.fixture
def ending() -> Iterator[Ending]:
    """The server's own handler."""
    one = Ending()
    before = signal.signal(signal.SIGTERM, one.handle)
    yield one
    signal.signal(signal.SIGTERM, before)


def test_what_is_left_is_sent_before_the_server_is_told(ending: Ending) -> None:
    before_termination(lambda: ending.told.append("flushed"), PATIENCE_SECONDS)
    signal.raise_signal(signal.SIGTERM)
    assert ending.told == ["flushed", "passed on"]


def test_a_second_word_while_the_first_one_is_at_it_waits_for_nothing(ending: Ending) -> None:
    """In the main thread, which the flush would wait for if it ran there."""

    def flush() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert ending.passed_on.wait(PATIENCE_SECONDS)
        ending.told.append("flushed")

    before_termination(flush, PATIENCE_SECONDS)
    signal.raise_signal(signal.SIGTERM)
    assert ending.told == ["passed on", "flushed", "passed on"]


def test_a_collector_that_takes_nothing_keeps_nobody_from_ending(ending: Ending) -> None:
    let_go = threading.Event()
    before_termination(lambda: let_go.wait(PATIENCE_SECONDS), 0.01)
    signal.raise_signal(signal.SIGTERM)
    assert ending.told == ["passed on"]
    let_go.set()
