"""What goes back to the client: status, headers, and a body that is whole or still coming."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.chat.claims import StoredAnswer
from gateway.chat.prompt import Prompt
from gateway.chat.relay import Relay
from gateway.chat.turn import Turn
from gateway.errors import UpstreamFailed

PASSED_BACK = frozenset(  # not OpenAI's organisation and project: they are the gateway's own
    {
        "content-type",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "warning",
        "x-should-retry",
    }
)
KEPT_FOR_REPLAY = ("content-type", "x-session-id", "x-memory-", "x-tokens-", "x-cost-")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes | Relay = field(default=b"")


def turn_headers(turn: Turn) -> dict[str, str]:
    headers = {
        **prompt_headers(turn.prompt),
        **turn.redactor.headers(),
        **turn.cached.headers,
        **turn.reservation.headers(),
        "x-session-id": turn.loaded.head.session,
    }
    if turn.writes:
        headers["x-memory-receipt"] = turn.receipt_id
    return {name: value for name, value in headers.items() if value}


def prompt_headers(prompt: Prompt) -> dict[str, str]:
    headers = {
        "x-tokens-before": str(prompt.tokens_before),
        "x-tokens-after": str(prompt.tokens_after),
        "x-tokens-saved": str(prompt.tokens_saved),
        "x-memory-status": prompt.status,
        "x-memory-latency-ms": f"{prompt.latency_seconds * 1000:.1f}",
        "x-memory-retriever": prompt.retriever,
    }
    if prompt.money is not None:
        headers["x-cost-before-usd"] = f"{prompt.money.before:.8f}"
        headers["x-cost-after-usd"] = f"{prompt.money.after:.8f}"
        headers["x-cost-saved-usd"] = f"{prompt.money.saved:.8f}"
    return headers


def passed_back(headers: Mapping[str, str]) -> dict[str, str]:
    """The upstream's headers that reach the client; its request id under a name of its own."""
    kept = {name: value for name, value in headers.items() if name in PASSED_BACK}
    if "x-request-id" in headers:
        kept["x-upstream-request-id"] = headers["x-request-id"]
    return kept


def refused(status: int, headers: dict[str, str], body: bytes, *, as_it_is: bool) -> Reply:
    """The upstream's error with its status; nothing was stored as an answer."""
    if status < 400:
        raise UpstreamFailed(f"The upstream answered {status} instead of an answer.")
    if as_it_is:
        return Reply(status, headers, body)
    shaped = _in_openai_shape(status, body)
    if shaped != body:
        headers["content-type"] = "application/json"
    return Reply(status, headers, shaped)


def _in_openai_shape(status: int, body: bytes) -> bytes:
    """An upstream's error body: as it came where it is an error object, else wrapped in one."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    fields = payload if isinstance(payload, dict) else {}
    if isinstance(fields.get("error"), dict):
        return body
    message = _message_in(fields) or (
        f"The upstream answered {status} with a body that is no error object."
    )
    error = {"message": message, "type": "upstream_error", "param": None, "code": None}
    return orjson.dumps({"error": error})


def _message_in(fields: Mapping[str, Any]) -> str | None:
    """What went wrong, in the words of upstreams with a shape of their own."""
    texts = (fields.get(name) for name in ("error", "message", "detail"))
    return next((text for text in texts if isinstance(text, str) and text), None)


def kept_for_replay(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that say something about the answer, not about the moment."""
    return {name: value for name, value in headers.items() if name.startswith(KEPT_FOR_REPLAY)}


def replayed(answer: StoredAnswer) -> Reply:
    headers = {**answer.headers, "idempotent-replayed": "true"}
    return Reply(answer.status, headers, answer.body)
