"""Stages: nothing where nobody asks for them, seconds and spans where somebody does."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry.record import Record, current, recording, trace_headers
from gateway.telemetry.stages import begin_completion, end_completion, stage
from gateway.telemetry.tracecontext import TraceContext

FUNCTIONS = Path(__file__).parents[2] / "functions"
HEAVY = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client")


def modules_of(folder: Path, **settings: str) -> set[str]:
    """Loaded by the entry point and by the app it makes."""
    code = "import sys, main; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(FUNCTIONS), "STORE_URL": "sqlite:///unused.db", **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_what_is_off_is_not_even_loaded(tmp_path: Path) -> None:
    off = modules_of(tmp_path)
    assert "gateway.app" in off
    assert [name for name in off if name.startswith(HEAVY)] == []


def test_what_is_on_is_loaded(tmp_path: Path) -> None:
    settings = {
        "METRICS_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    }
    on = modules_of(tmp_path, **settings)
    assert {"opentelemetry.sdk.trace", "prometheus_client"} <= on


def test_an_unwatched_stage_is_the_same_nothing_each_time() -> None:
    with recording(Record()) as record:
        assert stage("recall") is stage("compress")
        with stage("recall"):
            pass
        assert record.stages == []


def test_a_measured_stage_counts_its_seconds_also_when_it_fails() -> None:
    with recording(Record(measured=True)) as record:
        with pytest.raises(ValueError, match="no"), stage("recall"):
            raise ValueError("no")
        assert [name for name, _ in record.stages] == ["recall"]
        assert record.stages[0][1] >= 0


def test_an_answer_ends_once() -> None:
    with recording(Record(measured=True)) as record:
        begin_completion("m", streamed=False)
        end_completion({})
        end_completion({}, "cut")
        assert [name for name, _ in record.stages] == ["complete"]


def test_the_callers_trace_is_passed_on_as_it_came() -> None:
    header = f"00-{'a' * 32}-{'b' * 16}-01"
    with recording(Record(context=TraceContext("a" * 32, "b" * 16, True, header))):
        assert trace_headers() == {"traceparent": header}
    with recording(Record(context=TraceContext("a" * 32, "", True))):  # Google's header alone
        assert trace_headers() == {}


def test_outside_of_a_request_notes_go_nowhere() -> None:
    current().reads += 1
    assert current().reads == 0
    assert trace_headers() == {}
