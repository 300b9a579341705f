"""Data in a question to the model: one JSON object a line, in which no text can forge a line or the
end of its part. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

ESCAPED = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<\x85\u2028\u2029"}


def quoted(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode().translate(ESCAPED)
