"""Reading a request: its body under the bound, its headers from allow-lists, who is calling."""

import re
import secrets
from typing import cast

from starlette.requests import ClientDisconnect, Request

from gateway.chat.pipeline import Call, MemoryMode
from gateway.errors import BadRequest, NotFound, TooLarge
from gateway.identity.base import Authenticator, Identity

MODES = ("on", "read", "write", "off")
SESSION_ID = re.compile(r"[!-~]{1,200}")
CONTENT_LENGTH = re.compile(r"[0-9]{1,20}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

# Beside these nothing of the client's headers reaches the upstream: no credential, no cookie, no
# account selector of OpenAI's that goes with the gateway's own key.
FORWARDED = frozenset({"accept", "content-type", "user-agent", "openai-beta", "http-referer"})
FORWARDED_PREFIXES = ("x-stainless-", "x-title")
TRACE_HEADERS = frozenset({"traceparent", "tracestate"})


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is, whatever length was announced."""
    announced = request.headers.get("content-length", "")
    if CONTENT_LENGTH.fullmatch(announced) and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes)
            pieces.append(piece)
    except ClientDisconnect:
        raise BadRequest("The request body was cut short.") from None
    return b"".join(pieces)


async def caller_of(request: Request, door: Authenticator) -> Identity:
    """Who is calling. A workspace that is not the caller's own is not there."""
    headers = request.headers
    identity = await door.identify(headers.get("authorization"), headers.get("x-api-key"))
    if headers.get("x-workspace-id") not in {None, "", "personal", identity.owner}:
        raise NotFound("No such workspace.", code="workspace_not_found")
    return identity


def call_of(request: Request) -> Call:
    headers = request.headers
    mode = headers.get("x-memory", "on").strip().lower()
    if mode not in MODES:
        raise BadRequest("X-Memory is one of on, read, write, off.", param="X-Memory")
    session = headers.get("x-session-id")
    return Call(
        mode=cast("MemoryMode", mode),
        session=checked_session(session) if session else None,
        idempotency_key=headers.get("idempotency-key"),
        forwarded=forwarded(request),
    )


def checked_session(session: str, param: str = "X-Session-ID") -> str:
    if not SESSION_ID.fullmatch(session):
        raise BadRequest(
            "A session id is 1 to 200 printable ASCII characters without spaces.", param=param
        )
    return session


def forwarded(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name in FORWARDED or name in TRACE_HEADERS or name.startswith(FORWARDED_PREFIXES)
    }


def request_id_of(request: Request) -> str:
    """The caller's request id where it is harmless in a header and a log, else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request body may take {max_bytes} bytes.")
