"""What a message has beside its role and its text, redacted: who spoke, and what tools were told.

Ids and the names of tools stay as they are, or a reply would no longer find its call. Pure.
"""

from collections.abc import Mapping
from typing import Any

from gateway.redaction.redactor import Redactor

TOLD_TO_TOOLS = ("arguments", "input")


def redacted_extras(extras: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    kept = dict(extras)
    if isinstance(calls := kept.get("tool_calls"), list):
        kept["tool_calls"] = [_call(one, redactor) for one in calls]
    if call := kept.get("function_call"):
        kept["function_call"] = _told(call, redactor)
    if isinstance(name := kept.get("name"), str):
        kept["name"] = redactor.text(name)
    return kept


def _call(call: Any, redactor: Redactor) -> Any:
    if not isinstance(call, Mapping):
        return call
    return {name: _told(one, redactor) for name, one in call.items()}


def _told(told: Any, redactor: Redactor) -> Any:
    if not isinstance(told, Mapping):
        return told
    return {
        name: redactor.value(one) if name in TOLD_TO_TOOLS else one for name, one in told.items()
    }
