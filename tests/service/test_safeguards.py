"""What no caller, page or upstream can bend: origins, headers both ways, where requests go."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.routes.safeguards import UNLESS_SET
from support.chats import Json
from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"
PAGE = "https://chat.example"
GUARDS = {name.decode(): value.decode() for name, value in UNLESS_SET.items()}
HELLO: Json = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def proxy() -> Iterator[LoopbackUpstream]:
    """What the environment names as proxy. It would answer anybody."""
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    folder: Path, running_upstream: LoopbackUpstream, proxy: LoopbackUpstream
) -> Iterator[Service]:
    proxies = dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), proxy.origin
    )
    with serving(
        folder,
        UPSTREAM_BASE=running_upstream.base_url,
        UPSTREAM_API_KEY="upstream-key",
        ALLOWED_ORIGINS=f"{PAGE},https://other.example",
        MAX_BODY_BYTES="2048",
        **proxies,
    ) as running:
        yield running


@pytest.fixture
def alice(http: httpx.Client, upstream: LoopbackUpstream) -> Callable[..., httpx.Response]:
    def ask(method: str, path: str, body: Json | None = None, **headers: str) -> httpx.Response:
        named = {"x-api-key": "sk-alice"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return http.request(method, path, json=body, headers=named)

    return ask


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/memory/export", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/models", 405),
        ("POST", CHAT, 400),
    ],
)
def test_every_answer_has_the_headers(
    alice: Callable[..., httpx.Response], method: str, path: str, status: int
) -> None:
    answer = alice(method, path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in GUARDS} == GUARDS


def test_a_refusal_a_stream_and_a_preflight_have_them_too(
    alice: Callable[..., httpx.Response], http: httpx.Client
) -> None:
    answers = [
        http.get("/v1/models"),
        alice("POST", CHAT, {**HELLO, "stream": True}),
        alice("OPTIONS", CHAT, origin=PAGE, access_control_request_method="POST"),
    ]
    assert [one.status_code for one in answers] == [401, 200, 200]
    for answer in answers:
        assert {name: answer.headers[name] for name in GUARDS} == GUARDS


def test_a_page_keeps_its_own_policy_and_its_cache(http: httpx.Client) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-security-policy"] != GUARDS["content-security-policy"]
    assert answer.headers["cache-control"] != "no-store"
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("origin", [PAGE, "https://other.example"])
def test_a_named_origin_may_call_and_read_our_headers(
    alice: Callable[..., httpx.Response], origin: str
) -> None:
    answer = alice("POST", CHAT, HELLO, origin=origin)
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "Origin"
    assert "x-redactions" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    preflight = alice("OPTIONS", CHAT, origin=origin, access_control_request_method="PUT")
    assert "PUT" in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example.evil.test",
        "https://evil.chat.example",
        "http://chat.example",
        "https://chat.example:8443",
        "HTTPS://CHAT.EXAMPLE",
        "https://chat.example/",
        "null",
        "*",
    ],
)
def test_any_other_origin_may_not(alice: Callable[..., httpx.Response], origin: str) -> None:
    assert "access-control-allow-origin" not in alice("GET", "/v1/models", origin=origin).headers
    preflight = alice("OPTIONS", CHAT, origin=origin, access_control_request_method="POST")
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers


def test_no_proxy_is_taken_from_the_environment(
    alice: Callable[..., httpx.Response], upstream: LoopbackUpstream, proxy: LoopbackUpstream
) -> None:
    alice("POST", CHAT, HELLO).raise_for_status()
    alice("GET", "/health/detailed")
    assert len(upstream.requests) >= 1
    assert proxy.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("memory", ["on", "off"])
def test_no_redirect_is_followed_or_handed_on(
    alice: Callable[..., httpx.Response],
    upstream: LoopbackUpstream,
    proxy: LoopbackUpstream,
    status: int,
    memory: str,
) -> None:
    upstream.queue(Answer(status, {"location": f"{proxy.origin}/v1/chat/completions"}))
    answer = alice("POST", CHAT, HELLO, x_memory=memory)
    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert proxy.requests == []


def test_where_a_request_goes_is_not_the_callers_to_say(
    alice: Callable[..., httpx.Response], upstream: LoopbackUpstream, proxy: LoopbackUpstream
) -> None:
    named = {"base_url": proxy.origin, "api_base": proxy.origin, "upstream": proxy.origin}
    alice(
        "POST",
        CHAT,
        {**HELLO, **named},
        x_upstream_base=proxy.origin,
        x_forwarded_host=proxy.origin.removeprefix("http://"),
        host=proxy.origin.removeprefix("http://"),
    ).raise_for_status()
    for id in ("..%2f..%2fadmin", "%2e%2e/x", f"{proxy.origin}/v1", "//evil.test/x"):
        assert alice("GET", f"/v1/models/{id}").status_code == 404
    arrived = {(one.headers["host"], one.path) for one in upstream.requests}
    host = upstream.origin.removeprefix("http://")
    assert (host, "/v1/chat/completions") in arrived
    assert arrived <= {(host, "/v1/chat/completions"), (host, "/v1/models")}
    assert proxy.requests == []


@pytest.mark.parametrize("memory", ["on", "off"])
def test_of_the_upstreams_headers_only_harmless_ones_come_back(
    alice: Callable[..., httpx.Response], upstream: LoopbackUpstream, memory: str
) -> None:
    kept = {"openai-model": "m-1", "openai-processing-ms": "7", "x-request-id": "up-1"}
    stopped = {
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "content-security-policy": "default-src *",
        "openai-organization": "org-ours",
        "openai-project": "proj-ours",
        "server": "secret/1",
        "via": "1.1 inside",
        "x-ratelimit-remaining-requests": "12345",
        "strict-transport-security": "max-age=0",
    }
    upstream.queue(Answer.json(completion("Fine."), headers={**kept, **stopped}))
    answer = alice("POST", CHAT, HELLO, x_memory=memory).raise_for_status()
    assert answer.headers["openai-model"] == "m-1"
    assert answer.headers["x-upstream-request-id"] == "up-1"
    assert not any(answer.headers.get(name) == value for name, value in stopped.items())


def test_a_body_beyond_the_bound_is_refused_whatever_its_length_says(
    alice: Callable[..., httpx.Response], http: httpx.Client, upstream: LoopbackUpstream
) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * 1024

    headers = {"x-api-key": "sk-alice"}
    for answer in (
        http.post(CHAT, content=b" " * 2049, headers=headers),
        http.post(CHAT, content=pieces(), headers=headers),
    ):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
    assert upstream.requests == []
