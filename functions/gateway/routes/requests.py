"""Reading a request: its body under the bound, its headers from allow-lists, who is calling."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request

from gateway.accounts.workspace import Role
from gateway.chat.call import Call, MemoryMode
from gateway.errors import BadRequest, Forbidden, TooLarge, TooSlow
from gateway.identity.base import Authenticator, Identity
from gateway.routes.scopes import check_scope
from gateway.telemetry.record import current
from gateway.telemetry.stages import stage

PERSON_FIELDS = ("user_id", "tenant_id", "workspace_id")
READING = ("GET", "HEAD")
CACHING = {"": None, "on": True, "off": False}
MODES = ("on", "read", "write", "off")
SESSION_ID = re.compile(r"[!-~]{1,200}")
MAX_KEY_CHARACTERS = 255
BODY_SECONDS = 20.0  # and one more for each so many bytes, as Apache's mod_reqtimeout has it
BODY_BYTES_PER_SECOND = 500
CONTENT_LENGTH = re.compile(r"[0-9]{1,20}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

# Beside these nothing of the client's headers reaches the upstream: no credential, no cookie, no
# account selector of OpenAI's that goes with the gateway's own key.
FORWARDED = frozenset({"accept", "content-type", "user-agent", "openai-beta", "http-referer"})
FORWARDED_PREFIXES = ("x-stainless-", "x-title")
TRACE_HEADERS = frozenset({"traceparent", "tracestate"})


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is, whatever length was announced."""
    return b"".join([piece async for piece in body_pieces(request, max_bytes)])


async def body_pieces(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises as `read_body` does, in the middle if need be, and `TooSlow`
    where so little comes that somebody only wants to keep the connection."""
    announced = request.headers.get("content-length", "")
    if CONTENT_LENGTH.fullmatch(announced) and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    size, waited = 0, 0.0
    stream = request.stream()
    while True:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(BODY_SECONDS + size / BODY_BYTES_PER_SECOND - waited):
                piece = await anext(stream, None)
        except ClientDisconnect:
            raise BadRequest("The request body was cut short.") from None
        except TimeoutError:
            raise TooSlow("The request body came too slowly.") from None
        if piece is None:
            return
        waited += time.monotonic() - asked  # not what is done with a piece
        size += len(piece)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield piece


async def person_of(request: Request, door: Authenticator) -> Identity:
    """Who is calling, whatever the workspace: for what is about the person alone.

    Raises `Forbidden` where the credential lacks the scope of this route.
    """
    headers = request.headers
    with stage("identify"):
        found = await door.identify(headers.get("authorization"), headers.get("x-api-key"))
    current().identified(found.subject)
    check_scope(request.method, request.scope["route"].path, found)
    return found


async def caller_of(request: Request, door: Authenticator, needs: Role | None = None) -> Identity:
    """Who is calling, and in which workspace; one that is not the caller's is not there.

    It takes a writer's role to send anything but a GET, unless `needs` tells otherwise.
    """
    if needs is None:
        needs = "reader" if request.method in READING else "writer"
    identity = await person_of(request, door)
    return await door.enter(identity, request.headers.get("x-workspace-id"), needs)


async def storer_of(request: Request, door: Authenticator) -> Identity:
    """As `caller_of`, for what stores something new: a memory that is switched off takes none."""
    identity = await caller_of(request, door)
    await door.let_store(identity)
    return identity


def needed_to_chat(request: Request) -> Role:
    """A turn that nobody will remember is a reader's too."""
    mode = request.headers.get("x-memory", "").strip().lower()
    return "reader" if mode in {"read", "off"} else "writer"


def own(fields: Mapping[str, Any], caller: Identity) -> dict[str, Any]:
    """The fields without those that name a person: the credential alone decides who that is.

    Raises `Forbidden` where they name somebody else.
    """
    for name in PERSON_FIELDS:
        if fields.get(name) not in (None, caller.owner, caller.subject, caller.workspace):
            raise Forbidden("The credential decides whose memory this is.", param=name)
    return {name: value for name, value in fields.items() if name not in PERSON_FIELDS}


def idempotency_key_of(request: Request, caller: Identity) -> str | None:
    """The caller's own. Raises `BadRequest` for one that is empty or too long."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        raise BadRequest(
            f"Idempotency-Key takes 1 to {MAX_KEY_CHARACTERS} characters.",
            param="Idempotency-Key",
        )
    return caller.own_key(key)


def call_of(request: Request, caller: Identity) -> Call:
    headers = request.headers
    mode = headers.get("x-memory", "on").strip().lower()
    if mode not in MODES:
        raise BadRequest("X-Memory is one of on, read, write, off.", param="X-Memory")
    session = headers.get("x-session-id")
    cached = headers.get("x-cache", "").strip().lower()
    if cached not in CACHING:
        raise BadRequest("X-Cache is on or off.", param="X-Cache")
    return Call(
        mode=cast("MemoryMode", mode),
        session=checked_session(session) if session else None,
        idempotency_key=idempotency_key_of(request, caller),
        forwarded=forwarded(request),
        cached=CACHING[cached],
        abandoned=request.is_disconnected,
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
