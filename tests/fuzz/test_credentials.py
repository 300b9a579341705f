"""Tokens and headers, bent at random: refused in words, and nothing breaks."""

import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.effort import effort
from gateway.errors import Unauthenticated
from gateway.identity.google import CertificateSource, GoogleVerifier
from support.certificates import (
    AUDIENCE,
    CertificateServer,
    Clock,
    make_claims,
    make_key,
    make_token,
)
from support.service import Service

PATIENCE_SECONDS = 20.0
KEY = make_key("fuzz")
TOKEN = make_token(KEY)
ALPHABET = st.sampled_from("ABCabc019-_.=/+ é\n")


@pytest.fixture
async def verifier() -> AsyncIterator[GoogleVerifier]:
    with CertificateServer(KEY) as server:
        async with httpx.AsyncClient(trust_env=False) as client:
            clock = Clock()
            source = CertificateSource(client, server.url, clock)
            yield GoogleVerifier(frozenset({AUDIENCE}), source, clock)


async def test_a_token_changed_anywhere_is_no_token(verifier: GoogleVerifier) -> None:
    assert (await verifier.verify(TOKEN)).subject.startswith("google:")
    bent: list[str] = []

    @effort(300)
    @given(place=st.integers(0, len(TOKEN) - 1), letter=ALPHABET)
    def bend(place: int, letter: str) -> None:
        bent.append(TOKEN[:place] + letter + TOKEN[place + 1 :])

    bend()
    for token in bent:
        if not same(token):
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)


def same(token: str) -> bool:
    """Whether it decodes to what was signed: base64 has bits to spare at its end."""
    head, _, signature = token.rpartition(".")
    if head != TOKEN.rpartition(".")[0]:
        return False
    padded = signature + "=" * (-len(signature) % 4)
    try:
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:
        return False
    return decoded == base64.urlsafe_b64decode(TOKEN.rpartition(".")[2] + "==")


async def test_claims_of_any_kind_are_judged_or_refused(verifier: GoogleVerifier) -> None:
    values = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
    )
    made: list[str] = []

    @effort(60)
    @given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "iat", "hd"]), values))
    def claim(changes: dict[str, object]) -> None:
        made.append(make_token(KEY, {**make_claims(), **changes}))

    claim()
    for token in made:
        with contextlib.suppress(Unauthenticated):
            identity = await verifier.verify(token)
            assert identity.owner == identity.subject


NAMES = """authorization x-api-key x-session-id x-memory idempotency-key x-request-id x-workspace-id
content-type content-encoding accept origin traceparent y"""
HEADER_NAMES = st.sampled_from(NAMES.split())
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=40)), max_size=6)


@pytest.mark.service
@pytest.mark.timeout(0)
def test_headers_of_any_bytes_break_nothing(
    service: Service, stranger: Callable[[], dict[str, str]]
) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
    key = stranger()["x-api-key"].encode()

    @effort(40)
    @given(HEADERS)
    def send(headers: list[tuple[str, bytes]]) -> None:
        lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"connection: close"]
        lines += [b"content-length: %d" % len(body), b"x-api-key: " + key]
        lines += [name.encode() + b": " + value for name, value in headers]
        assert status_of(service, b"\r\n".join([*lines, b"", b""]) + body) < 500

    send()
    assert "unhandled" not in service.log


def status_of(service: Service, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        answer = connection.makefile("rb").readline()
    return int(answer.split(b" ")[1]) if answer else 400  # hung up on what is no HTTP
