"""Header injection and request smuggling, byte by byte over a socket."""

import socket
from collections.abc import Callable

import httpx
import pytest

from support.service import Service
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

CHAT = b"/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
PATIENCE_SECONDS = 20.0
INJECTED = b"x-injected"
KEPT_BYTES = 4_000_000


def said(service: Service, *lines: bytes, body: bytes = BODY, path: bytes = CHAT) -> bytes:
    """Everything that comes back for one request, as it was written on the wire."""
    head = [b"POST %b HTTP/1.1" % path, b"host: x", b"connection: close", b"x-api-key: sk-alice"]
    request = b"\r\n".join([*head, *lines, b"", b""]) + body
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        try:
            return connection.makefile("rb").read(KEPT_BYTES)
        except ConnectionError:
            return b""


def sized(*lines: bytes) -> tuple[bytes, ...]:
    return (*lines, b"content-length: %d" % len(BODY))


@pytest.mark.parametrize("name", [b"x-session-id", b"x-request-id", b"idempotency-key"])
@pytest.mark.parametrize(
    "value",
    [b"a\rx-injected: 1", b"a\nx-injected: 1", b"a\r\n x-injected: 1", b"a\x00b", b"\xff\xfe"],
    ids=["CR", "LF", "folded", "NUL", "no UTF-8"],
)
def test_no_value_becomes_a_header_of_the_answer_or_of_the_upstreams(
    service: Service, upstream: LoopbackUpstream, name: bytes, value: bytes
) -> None:
    answer = said(service, *sized(name + b": " + value))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert INJECTED not in head.replace(name + b": " + value, b"")
    assert answer.startswith(b"HTTP/1.1 ")
    assert all(INJECTED.decode() not in one.headers for one in upstream.requests)


@pytest.mark.parametrize(
    "id", [b'"} {"forged": 1}', b"a b", b"<script>", b"\xc3\xa9", b"a" * 129, b""]
)
def test_a_request_id_that_is_not_harmless_is_replaced(service: Service, id: bytes) -> None:
    head = said(service, *sized(b"x-request-id: " + id)).partition(b"\r\n\r\n")[0]
    (given,) = [line for line in head.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    assert given.startswith(b"x-request-id: req_")


SMUGGLED = b"POST /smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"content-length: %d" % len(BODY), b"transfer-encoding: chunked"], CHUNKED + SMUGGLED),
        ([b"content-length: 6", b"content-length: %d" % len(BODY)], BODY + SMUGGLED),
        ([b"transfer-encoding: chunked, identity"], CHUNKED + SMUGGLED),
        ([b"transfer-encoding:\x0bchunked"], CHUNKED + SMUGGLED),
        ([b"content-length: +%d" % len(BODY)], BODY + SMUGGLED),
        ([b"content-length : %d" % len(BODY)], BODY + SMUGGLED),
        ([b"transfer-encoding: chunked"], b"-1\r\n" + BODY + SMUGGLED),
    ],
    ids=["CL and TE", "CL twice", "TE list", "TE tab", "signed CL", "space before", "negative"],
)
def test_a_length_that_can_be_read_in_two_ways_is_no_request(
    service: Service, upstream: LoopbackUpstream, lines: list[bytes], body: bytes
) -> None:
    """Whoever stands before this service may read it in the other way."""
    answer = said(service, *lines, body=body)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"/smuggled" not in service.log.encode()
    assert b" 200 " not in answer.partition(b"\r\n")[0]


def test_an_upstreams_headers_are_chosen_from_a_list(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
) -> None:
    sent = {"set-cookie": "a=b", "access-control-allow-origin": "*", "location": "http://evil"}
    upstream.queue(Answer.json(completion("x"), headers={**sent, "x-session-id": "forged"}))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {**person(), "x-session-id": "mine"}
    answer = http.post(CHAT.decode(), json=body, headers=headers).raise_for_status()
    assert not set(sent) & set(answer.headers)
    assert answer.headers.get_list("x-session-id") == ["mine"]
