"""One JSON object a line, in the fields that Cloud Logging knows
(https://cloud.google.com/logging/docs/structured-logging#special-payload-fields).

Of our own loggers a message is told as it is: those who write them name kinds and counts. Of
anybody else's only what is a constant of their source.
"""

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.telemetry.metrics import Answer
from gateway.telemetry.record import Record, current
from gateway.telemetry.reduced import TRACEBACK, constant, told_of, told_of_text

OURS = "gateway"
LABELS = "logging.googleapis.com/labels"
TRACE = "logging.googleapis.com/trace"
SPAN = "logging.googleapis.com/spanId"
SAMPLED = "logging.googleapis.com/trace_sampled"
TOLD = (
    "model",
    "tokens_before",
    "tokens_after",
    "tokens_saved",
    "tokens_completion",
    "limiter",
    "retriever",
    "upstream_status",
    "upstream_error",
)
COUNTED = {
    "reads": "document_reads",
    "writes": "document_writes",
    "deletes": "document_deletes",
    "messages_created": "messages_created",
    "searches": "memory_searches",
    "redactions": "redactions",
}
SEVERITIES = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


class Line(dict[str, Any]):
    """A log message that is fields already; as text it is JSON."""

    def __str__(self) -> str:
        return orjson.dumps(self).decode()


def request_line(answer: Answer, record: Record, started: float, first_byte: float | None) -> Line:
    """What became of a request; what it had nothing of is left out. Times are the timer's."""
    failed = answer.status >= 500
    line = Line(
        {
            "event": "api_request",
            "severity": "ERROR" if failed else "INFO",
            "request_id": record.request_id,
            "method": answer.method,
            "endpoint": answer.endpoint,
            "status": answer.status,
            "duration_ms": _milliseconds(answer.seconds),
        }
    )
    for name, at in (("first_byte_ms", first_byte), ("first_token_ms", record.first_token)):
        if at is not None:
            line[name] = _milliseconds(at - started)
    for name in TOLD:
        value = getattr(record, name)
        if value is not None and value != "":
            line[name] = value
    for name in COUNTED:
        if value := getattr(record, name):
            line[COUNTED[name]] = value
    return line


class Formatter(logging.Formatter):
    """`project` is Google Cloud's, for the full name of a trace."""

    def __init__(self, project: str = "") -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname
        line: dict[str, Any] = {"severity": level if level in SEVERITIES else "DEFAULT"}
        line.update(_told(record))
        for name, value in request_fields(current(), self._project).items():
            line.setdefault(name, value)
        return orjson.dumps(line, default=_kind).decode()


def request_fields(record: Record, project: str) -> dict[str, Any]:
    """Which request a line belongs to, and which trace; nothing outside of one."""
    fields: dict[str, Any] = {}
    if record.request_id:
        fields["request_id"] = record.request_id
    if labels := _labels(record):
        fields[LABELS] = labels
    if (span := record.span) is not None:
        fields |= {TRACE: _trace(project, span.trace), SPAN: span.id, SAMPLED: span.sampled}
    elif (context := record.context) is not None:
        fields |= {TRACE: _trace(project, context.trace), SAMPLED: context.sampled}
        if context.span:
            fields[SPAN] = context.span
    return fields


def _labels(record: Record) -> dict[str, str]:
    named = {"identity": record.identity, "session": record.session}
    return {name: value for name, value in named.items() if value}


def _trace(project: str, trace: str) -> str:
    return f"projects/{project}/traces/{trace}" if project else trace


def _told(record: logging.LogRecord) -> dict[str, Any]:
    if isinstance(record.msg, Line):
        return dict(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if record.name == OURS or record.name.startswith(f"{OURS}."):
        fields = _ours(record)
    else:
        fields = _theirs(record)
    return {**fields, **told_of(error)} if error is not None else fields


def _ours(record: logging.LogRecord) -> dict[str, Any]:
    message = record.getMessage()
    if message.startswith("{"):
        fields = orjson.loads(message)
        if isinstance(fields, Mapping):
            return dict(fields)
    return {"logger": record.name, "message": message}


def _theirs(record: logging.LogRecord) -> dict[str, Any]:
    """Where it was logged stands for what was said."""
    place, message = constant(record)
    fields: dict[str, Any] = {"logger": record.name, "place": place}
    if message is not None:
        fields["message"] = message
    elif isinstance(record.msg, str) and TRACEBACK in record.msg:
        fields |= told_of_text(record.msg)
    return fields


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _kind(value: object) -> str:
    return type(value).__name__
