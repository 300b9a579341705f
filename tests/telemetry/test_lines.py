"""What becomes of a log record: one JSON object, with nothing in it that anybody said."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from gateway.telemetry.lines import LABELS, SAMPLED, SPAN, TRACE, Formatter, Line
from gateway.telemetry.logs import Gathered, Handler
from gateway.telemetry.record import Record, hashed, recording
from gateway.telemetry.tracecontext import TraceContext

CANARY = "zebra-4711"
MADE_BEFORE = logging.getLogger("a.framework")


class Spoken:
    def __init__(self) -> None:
        self.stream = StringIO()
        self.handler = Handler(self.stream)
        self.handler.setFormatter(Formatter("some-project"))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        (only,) = self.lines
        return only


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    """Everything that any logger says, through our handler at the root."""
    told = Spoken()
    root = logging.getLogger()
    level = root.level
    root.addHandler(told.handler)
    root.setLevel(logging.INFO)
    yield told
    root.removeHandler(told.handler)
    root.setLevel(level)


def fail() -> None:
    raise ValueError(CANARY)


def test_a_traceback_is_reduced_to_kinds_and_places(spoken: Spoken) -> None:
    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logging.getLogger("gateway.some").exception("it failed")
    line = spoken.line
    assert (line["severity"], line["message"]) == ("ERROR", "it failed")
    assert (line["error"], line["causes"]) == ("RuntimeError", ["ValueError"])
    assert line["places"][-1].endswith(" test_a_traceback_is_reduced_to_kinds_and_places")
    assert CANARY not in str(line)


def test_a_traceback_that_a_framework_made_text_of_is_reduced_too(spoken: Spoken) -> None:
    """As functions-framework and uvicorn do."""
    import traceback

    try:
        fail()
    except ValueError:
        logging.getLogger().error(f"Exception on /{CANARY} [GET]\n{traceback.format_exc()}")
    line = spoken.line
    assert line["error"] == "ValueError"
    assert line["places"][-1].endswith(" fail")
    assert CANARY not in str(line)


def test_of_others_messages_a_constant_is_told_and_no_argument(spoken: Spoken) -> None:
    MADE_BEFORE.warning("cannot reach %s", CANARY)
    MADE_BEFORE.warning(f"cannot reach {CANARY}")
    first, second = spoken.lines
    assert first["message"] == "cannot reach %s"
    assert "message" not in second
    assert second["place"].endswith("test_of_others_messages_a_constant_is_told_and_no_argument")
    assert CANARY not in str((first, second))


def test_a_message_that_is_no_text_is_left_out(spoken: Spoken) -> None:
    MADE_BEFORE.error(ValueError(CANARY))
    MADE_BEFORE.error({"secret": CANARY})
    assert all("message" not in line for line in spoken.lines)
    assert CANARY not in str(spoken.lines)


def test_arguments_that_do_not_fit_are_told_by_kind(spoken: Spoken) -> None:
    """The standard library would print them all."""
    told = {"name": "gateway.some", "msg": "%d of %d", "args": (CANARY,), "levelname": "ERROR"}
    spoken.handler.handle(logging.makeLogRecord(told))
    assert spoken.line == {"severity": "ERROR", "event": "log_failed", "error": "TypeError"}


def test_our_own_json_is_told_as_it_is(spoken: Spoken) -> None:
    logging.getLogger("gateway.limits").warning('{"event":"limiter_fail_open","so_far":3}')
    assert spoken.line == {"severity": "WARNING", "event": "limiter_fail_open", "so_far": 3}


def test_a_logger_made_later_has_no_handlers_to_give(spoken: Spoken) -> None:
    own = StringIO()
    logger = Gathered("made.later")
    logger.addHandler(logging.StreamHandler(own))
    logger.propagate = False
    logger.error("stopping %s", CANARY)
    assert own.getvalue() == ""
    assert spoken.line["message"] == "stopping %s"


def test_a_line_tells_its_request_and_its_trace(spoken: Spoken) -> None:
    record = Record(context=TraceContext("a" * 32, "b" * 16, True), request_id="r-1")
    record.identified("key:alice")
    record.in_session("key:alice", CANARY)
    with recording(record):
        logging.getLogger("gateway.some").info("said")
    line = spoken.line
    assert line["request_id"] == "r-1"
    assert line[TRACE] == f"projects/some-project/traces/{'a' * 32}"
    assert (line[SPAN], line[SAMPLED]) == ("b" * 16, True)
    assert line[LABELS] == {"identity": record.identity, "session": record.session}
    assert CANARY not in str(line)


def test_outside_of_a_request_there_is_none(spoken: Spoken) -> None:
    logging.getLogger("gateway.some").info("said")
    assert not {"request_id", TRACE, SPAN, LABELS} & spoken.line.keys()


def test_a_session_of_the_same_name_is_another_ones() -> None:
    first, second, third = Record(), Record(), Record()
    first.in_session("key:alice", "kitchen")
    second.in_session("key:bob", "kitchen")
    third.in_session("key:alice", "kitchen")
    assert first.session == third.session != second.session
    assert hashed("identity", "x") != hashed("session", "x")


def test_what_looks_like_no_model_is_nobodys_model() -> None:
    record = Record()
    for given, told in (
        ("gpt-4.1-mini", "gpt-4.1-mini"),
        ("mistralai/Mistral-7B-v0.2:free", "mistralai/Mistral-7B-v0.2:free"),
        ("my card is 4111 1111", "other"),
        ("a" * 81, "other"),
        ("", "other"),
    ):
        record.asks(given)
        assert record.model == told


def test_a_line_as_text_is_json() -> None:
    assert json.loads(str(Line({"event": "x", "n": 1}))) == {"event": "x", "n": 1}
