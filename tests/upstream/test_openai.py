import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import NotFound, UpstreamFailed, UpstreamTimedOut
from gateway.upstream.aiohttp import AiohttpTransport
from gateway.upstream.base import Upstream, UpstreamRequest
from gateway.upstream.client import DirectClient
from gateway.upstream.openai import OpenAIUpstream, make_client
from support.upstream import Answer, Gate, LoopbackUpstream, closed_port, completion, sse

A_MOMENT = 0.05
LONG = 30.0
CHAT = UpstreamRequest(
    "POST", "chat/completions", {"content-type": "application/json"}, b'{"messages":[]}'
)


@pytest.fixture
def loopback() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as upstream:
        yield upstream


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(verify=False) as client:
        yield client


def upstream_at(
    base: str,
    client: httpx.AsyncClient,
    *,
    api_key: str | None = None,
    first_byte_seconds: float = LONG,
    stall_seconds: float = LONG,
) -> OpenAIUpstream:
    return OpenAIUpstream(base, api_key, client, first_byte_seconds, stall_seconds)


def connections(client: httpx.AsyncClient) -> int:
    """How many the client holds: in use, idle, or being made."""
    assert isinstance(client, DirectClient)
    assert isinstance(client.transport, AiohttpTransport)
    return client.transport.connections()


def test_it_is_an_upstream_whose_answers_are_memories(client: httpx.AsyncClient) -> None:
    upstream: Upstream = upstream_at("https://api.openai.com", client)
    assert upstream.answers_are_memories


@pytest.mark.parametrize(
    ("path_of_base", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1//", "/v1/chat/completions"),
        ("/api/v1", "/api/v1/chat/completions"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
    ],
)
async def test_a_base_is_good_with_and_without_a_path(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, path_of_base: str, path: str
) -> None:
    await (await upstream_at(loopback.origin + path_of_base, client).send(CHAT)).read()
    assert loopback.requests[0].path == path


@pytest.mark.parametrize(
    "base",
    [
        "",
        "api.openai.com",
        "ftp://api.openai.com",
        "https://",
        "https:///v1",
        "https://api.openai.com/v1?key=secret",
        "https://api.openai.com/v1?",
        "https://api.openai.com/v1#secret",
        "https://user:secret@api.openai.com/v1",
        "https://secret@api.openai.com/v1",
        "https://api.openai.com:secret/v1",
        "https://api.openai.com:99999/v1",
    ],
)
async def test_a_base_that_cannot_serve_is_refused_without_repeating_it(
    client: httpx.AsyncClient, base: str
) -> None:
    with pytest.raises(ValueError, match="the upstream base") as refused:
        upstream_at(base, client)
    assert "secret" not in str(refused.value)


async def test_only_the_given_headers_and_the_framing_go_out(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    await (await upstream_at(loopback.base_url, client).send(CHAT)).read()
    request = loopback.requests[0]
    assert request.method == "POST"
    assert request.body == CHAT.body
    assert dict(request.headers) == {
        "host": f"127.0.0.1:{loopback.port}",
        "content-type": "application/json",
        "content-length": str(len(CHAT.body)),
        "accept-encoding": "identity",
    }


async def test_the_callers_framing_and_credential_never_go_out(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    headers = {
        "Authorization": "Bearer theirs",
        "Accept-Encoding": "br",
        "Content-Length": "7",
        "Host": "gateway",
        "Transfer-Encoding": "chunked",
        "OpenAI-Beta": "x=\xe9",
    }
    request = UpstreamRequest("POST", "chat/completions", headers, CHAT.body)
    await (await upstream_at(loopback.base_url, client).send(request)).read()
    arrived = loopback.requests[0]
    assert len(arrived.raw_headers) == 4
    assert "authorization" not in arrived.headers
    assert "transfer-encoding" not in arrived.headers
    assert arrived.headers["accept-encoding"] == "identity"
    assert arrived.headers["openai-beta"] == "x=\xe9"
    assert arrived.body == CHAT.body


@pytest.mark.parametrize("value", ["é".encode(), b"\xe9", b"plain"])
async def test_a_header_s_bytes_arrive_whatever_they_are(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, value: bytes
) -> None:
    headers = {"http-referer": value.decode("latin-1")}
    request = UpstreamRequest("POST", "chat/completions", headers, CHAT.body)
    await (await upstream_at(loopback.base_url, client).send(request)).read()
    assert loopback.requests[0].headers["http-referer"].encode("latin-1") == value


async def test_a_body_of_megabytes_arrives_whole(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    body = b"x" * 3_000_000
    request = UpstreamRequest("POST", "chat/completions", {}, body)
    await (await upstream_at(loopback.base_url, client).send(request)).read()
    assert loopback.requests[0].body == body
    assert loopback.requests[0].headers["content-length"] == "3000000"


async def test_a_key_goes_out_as_bearer(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    await (await upstream_at(loopback.base_url, client, api_key="sk-1\n").send(CHAT)).read()
    await (await upstream_at(loopback.base_url, client, api_key="").send(CHAT)).read()
    assert loopback.requests[0].headers["authorization"] == "Bearer sk-1"
    assert "authorization" not in loopback.requests[1].headers


async def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(
    client: httpx.AsyncClient,
) -> None:
    with pytest.raises(ValueError, match="API key") as refused:
        upstream_at("https://api.openai.com", client, api_key="secret\nx: y")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("models", "/v1/models"),
        ("models/meta-llama/Llama-3:free", "/v1/models/meta-llama/Llama-3:free"),
        ("models/a b?c#d%2e", "/v1/models/a%20b%3Fc%23d%252e"),
    ],
)
async def test_a_path_is_taken_literally(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, path: str, sent: str
) -> None:
    upstream = upstream_at(loopback.base_url, client)
    await (await upstream.send(UpstreamRequest("GET", path, {}))).read()
    assert loopback.requests[0].path == sent


@pytest.mark.parametrize("path", ["models/..", "models/../../admin", "models/./x"])
async def test_a_path_cannot_climb_out_of_the_base(client: httpx.AsyncClient, path: str) -> None:
    upstream = upstream_at("http://127.0.0.1:9", client)
    with pytest.raises(NotFound):
        await upstream.send(UpstreamRequest("GET", path, {}))


async def test_an_answer_arrives_byte_for_byte_with_its_headers(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    body = '{"choices": [ ], "extra":"é",\n "n":1.0}'.encode()
    headers = {"Content-Type": "application/json", "X-Request-ID": "r\xe9", "Connection": "close"}
    loopback.queue(Answer(201, headers, body))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert response.status == 201
    assert response.headers == {
        "content-type": "application/json",
        "x-request-id": "r\xe9",
        "content-length": str(len(body)),
    }
    assert await response.read() == body


async def test_an_error_status_is_an_answer(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    answer = Answer.error(429, "Slow down.", "rate_limit_exceeded", {"Retry-After": "7"})
    loopback.queue(answer, Answer.html(502))
    upstream = upstream_at(loopback.base_url, client)
    limited = await upstream.send(CHAT)
    assert (limited.status, limited.headers["retry-after"]) == (429, "7")
    assert await limited.read() == answer.body
    assert (await upstream.send(CHAT)).status == 502


async def test_a_redirect_is_not_followed(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer(307, {"location": f"{loopback.base_url}/elsewhere"}))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert response.status == 307
    assert len(loopback.requests) == 1


async def test_cookies_are_not_kept(loopback: LoopbackUpstream, client: httpx.AsyncClient) -> None:
    loopback.queue(Answer(200, {"set-cookie": "session=someone; path=/"}))
    upstream = upstream_at(loopback.base_url, client)
    await (await upstream.send(CHAT)).read()
    await (await upstream.send(CHAT)).read()
    assert not client.cookies.jar
    assert "cookie" not in loopback.requests[1].headers


async def test_proxies_of_the_environment_are_ignored(
    loopback: LoopbackUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    async with make_client(verify=False) as client:
        assert (await upstream_at(loopback.base_url, client).send(CHAT)).status == 200


async def test_pieces_arrive_while_the_rest_is_still_to_come(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    first, second = sse({"n": 1}, "[DONE]")
    gate = Gate()
    loopback.queue(Answer.stream(first, gate, second))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert "transfer-encoding" not in response.headers
    chunks = response.chunks()
    assert await anext(chunks) == first
    gate.open()
    assert [chunk async for chunk in chunks] == [second]


async def test_a_body_that_ends_with_the_connection_is_whole(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.stream(b"data: 1\n\n", ending="close"))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert await response.read() == b"data: 1\n\n"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "gzip, gzip"])
async def test_a_body_encoded_unasked_is_decoded(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, coding: str
) -> None:
    body = encoded = b'{"choices": []}'
    for _ in coding.split(","):
        encoded = gzip.compress(encoded)
    loopback.queue(Answer(200, {"content-encoding": coding}, encoded))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert not {"content-encoding", "content-length"} & set(response.headers)
    assert await response.read() == body


async def test_an_encoding_we_cannot_read_passes_with_its_header(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer(200, {"content-encoding": "br"}, b"opaque"))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    assert response.headers["content-encoding"] == "br"
    assert response.headers["content-length"] == "6"
    assert await response.read() == b"opaque"


async def test_a_body_that_is_not_what_its_encoding_says_fails(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer(200, {"content-encoding": "gzip"}, b"not gzip"))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    with pytest.raises(UpstreamFailed):
        await response.read()


async def test_a_connection_is_used_again_after_a_whole_answer(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    upstream = upstream_at(loopback.base_url, client)
    for _ in range(2):
        await (await upstream.send(CHAT)).read()
    assert [request.connection for request in loopback.requests] == [1, 1]
    assert loopback.connections_aborted == 0


async def test_nobody_there_is_a_failure(client: httpx.AsyncClient) -> None:
    upstream = upstream_at(f"http://127.0.0.1:{closed_port()}/v1", client, api_key="secret")
    with pytest.raises(UpstreamFailed, match="cannot be reached") as failed:
        await upstream.send(CHAT)
    assert isinstance(failed.value.__cause__, httpx.ConnectError)


async def test_tls_with_someone_who_speaks_none_is_a_failure(client: httpx.AsyncClient) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamFailed, match="cannot be reached"):
            await upstream_at(f"https://127.0.0.1:{port}", client).send(CHAT)


async def test_hanging_up_before_the_headers_is_a_failure(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.hang_up())
    with pytest.raises(UpstreamFailed, match="broke"):
        await upstream_at(loopback.base_url, client).send(CHAT)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("head", [b"HELLO\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
async def test_what_is_not_http_is_a_failure(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, head: bytes
) -> None:
    loopback.queue(Answer(head=head))
    with pytest.raises(UpstreamFailed, match="broke"):
        await upstream_at(loopback.base_url, client).send(CHAT)


async def test_an_upstream_that_switches_protocols_is_a_failure(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer(101, {"upgrade": "websocket", "connection": "upgrade"}))
    with pytest.raises(UpstreamFailed, match="broke"):
        await upstream_at(loopback.base_url, client).send(CHAT)
    await loopback.until(lambda: loopback.connections_open == 0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer.stream(b"data: 1\n\n", ending="cut"),
        Answer(200, {"content-length": "1000"}, b"data: 1\n\n"),
        Answer(200, {"content-length": "1000"}, b"data: 1\n\n", ending="cut"),
    ],
)
async def test_a_body_cut_short_is_never_a_whole_one(
    loopback: LoopbackUpstream, client: httpx.AsyncClient, answer: Answer
) -> None:
    loopback.queue(answer)
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    chunks = response.chunks()
    assert await anext(chunks) == b"data: 1\n\n"
    with pytest.raises(UpstreamFailed, match="broke"):
        await anext(chunks)
    assert connections(client) == 0


async def test_a_reset_in_the_middle_is_a_failure(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    gate = Gate()
    loopback.queue(Answer.stream(b"data: 1\n\n", gate, ending="reset"))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    chunks = response.chunks()
    await anext(chunks)
    gate.open()
    with pytest.raises(UpstreamFailed, match="broke"):
        await anext(chunks)


async def test_no_headers_in_time_is_a_timeout_and_the_upstream_is_told(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.silence())
    upstream = upstream_at(loopback.base_url, client, first_byte_seconds=A_MOMENT)
    with pytest.raises(UpstreamTimedOut, match=r"0\.05 seconds"):
        await upstream.send(CHAT)
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_a_body_that_stalls_is_a_timeout_and_the_upstream_is_told(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.stream(b"data: 1\n\n", Gate()))
    upstream = upstream_at(loopback.base_url, client, stall_seconds=A_MOMENT)
    chunks = (await upstream.send(CHAT)).chunks()
    await anext(chunks)
    with pytest.raises(UpstreamTimedOut, match="stopped"):
        await anext(chunks)
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_the_clients_own_timeouts_do_not_count(loopback: LoopbackUpstream) -> None:
    gate = Gate()
    loopback.queue(Answer.stream(b"data: 1\n\n", gate, b"data: 2\n\n"))
    async with httpx.AsyncClient(timeout=0.001, trust_env=False) as client:
        chunks = (await upstream_at(loopback.base_url, client).send(CHAT)).chunks()
        await anext(chunks)
        gate.open()
        assert [chunk async for chunk in chunks] == [b"data: 2\n\n"]


async def test_closing_in_the_middle_hangs_up(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.stream(b"data: 1\n\n", Gate()))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    await anext(response.chunks())
    await response.close()
    await response.close()
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_closing_before_the_body_was_looked_at_hangs_up(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.queue(Answer.stream(Gate()))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    await response.close()
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_cancelled_while_it_waits_for_headers_it_hangs_up(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    silence = Gate()
    loopback.queue(Answer(before=silence))
    sending = asyncio.create_task(upstream_at(loopback.base_url, client).send(CHAT))
    await silence.reached.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_cancelled_while_it_connects_it_leaves_nothing(client: httpx.AsyncClient) -> None:
    sending = asyncio.create_task(upstream_at("http://127.0.0.1:9", client).send(CHAT))
    await asyncio.sleep(0)  # its first step, up to the connecting
    assert connections(client) == 1
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert connections(client) == 0


async def test_cancelled_while_it_waits_for_a_piece_it_hangs_up(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    middle = Gate()
    loopback.queue(Answer.stream(b"data: 1\n\n", middle))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    reading = asyncio.create_task(response.read())
    await middle.reached.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_closing_works_in_a_task_that_is_being_cancelled(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    """As in a server that cancels a scope, where every await is cancelled again."""
    loopback.queue(Answer.stream(b"data: 1\n\n", Gate()))
    response = await upstream_at(loopback.base_url, client).send(CHAT)
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            await response.close()
    await loopback.until_aborted()
    assert connections(client) == 0


async def test_many_requests_at_once_each_get_their_own_answer(
    loopback: LoopbackUpstream, client: httpx.AsyncClient
) -> None:
    loopback.default = lambda request: Answer.json(completion(request.json["ask"]))
    upstream = upstream_at(loopback.base_url, client)

    async def ask(text: str) -> bool:
        body = b'{"ask":"%b"}' % text.encode()
        response = await upstream.send(UpstreamRequest("POST", "chat/completions", {}, body))
        return f'"content": "{text}"'.encode() in await response.read()

    assert all(await asyncio.gather(*(ask(f"q{number}") for number in range(40))))


async def test_certificates_are_checked_against_the_authorities_given(tmp_path: Path) -> None:
    certificate = _self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with LoopbackUpstream(tls=tls) as loopback:
        async with make_client(verify=ssl.create_default_context(cafile=certificate)) as client:
            response = await upstream_at(loopback.base_url, client).send(CHAT)
            assert (await response.read()).startswith(b'{"id"')
        async with make_client() as client:
            with pytest.raises(UpstreamFailed, match="cannot be reached"):
                await upstream_at(loopback.base_url, client).send(CHAT)


async def test_closing_the_upstream_closes_its_client(client: httpx.AsyncClient) -> None:
    await upstream_at("https://api.openai.com", client).close()
    assert client.is_closed


def _self_signed(folder: Path) -> Path:
    """A key and its certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "loopback.pem"
    file.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return file
