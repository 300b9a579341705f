"""What is counted from the log, against what the code logs."""

import ast
import re
from typing import get_args

from gateway.retrieval.tier import Reason
from infra.life import Life
from infra.queries import sources
from support.terraform import CONFIGURATION

METRICS = (CONFIGURATION / "metrics.tf").read_text()
ALERTS = (CONFIGURATION / "alerts.tf").read_text()
NO_FAILURE = {"small", "too-large"}


def events_of_the_code() -> dict[str, set[str]]:
    """The fields of each line that the code logs, by its event."""
    found: dict[str, set[str]] = {}
    for _, module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Dict):
                fields = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                event = fields.get("event")
                if isinstance(event, ast.Constant):
                    found[str(event.value)] = {str(name) for name in fields}
    return found


def test_counted_events_are_logged() -> None:
    counted = set(re.findall(r'jsonPayload\.event=\\"(\w+)\\"', METRICS))
    assert counted == {"api_request", "limiter_fail_open", "retention_failed", "retriever_failure"}
    assert counted <= events_of_the_code().keys()


def test_fields_taken_from_a_line_are_in_it(life: Life) -> None:
    """Of an answer's line those that a life logged; of the others those in the code."""
    known = {name for line in life.lines for name in line}
    known = known.union(*events_of_the_code().values())
    taken = set(re.findall(r"jsonPayload\.(\w+)", METRICS))
    assert taken - known == set()
    assert {"first_byte_ms", "tokens_saved", "retriever"} <= taken


def test_an_answer_is_counted_by_its_route_and_never_by_its_path(life: Life) -> None:
    """A label for each id would be a time series for each id."""
    assert {line["endpoint"] for line in life.lines} == {
        "/",
        "/v1/chat/completions",
        "/v1/memory/export",
        "/v1/messages",
    }


def test_the_gpu_tier_fails_for_the_reasons_that_the_code_gives() -> None:
    (told,) = re.findall(r'gpu_failed = "lexical; reason=\((.*?)\)"', ALERTS)
    assert set(told.split("|")) == set(get_args(Reason)) - NO_FAILURE


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    written = {path.stem for path in (CONFIGURATION / "runbooks").glob("*.md")}
    assert written == {"budget", "errors", "fail-open", "latency", "retriever", "sweep"}
    for name in written - {"budget"}:
        assert re.search(rf"runbooks/{name}\.md|^    {name} = \{{", ALERTS, re.MULTILINE)
