"""SSRF: no URL of a request leads this service anywhere. The upstream alone may follow one."""

from collections.abc import Callable

import httpx
import pytest

from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"


def test_no_url_in_a_body_is_fetched_and_each_is_passed_on(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    listener: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
) -> None:
    url, headers = listener.origin, person()
    parts = [
        {"type": "text", "text": f"See {url}/text and ![x]({url}/markdown.png)"},
        {"type": "image_url", "image_url": {"url": f"{url}/image.png"}},
        {"type": "input_audio", "input_audio": {"data": "", "url": f"{url}/audio"}},
        {"type": "file", "file": {"file_data": f"{url}/file", "file_id": f"{url}/id"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
    ]
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": parts}],
        "tools": [{"type": "mcp", "server_url": f"{url}/mcp"}],
        "metadata": {"callback": f"{url}/callback"},
        "base_url": url,
        "upstream": url,
    }
    for memory in ("on", "off"):
        asked = http.post(CHAT, json=body, headers={**headers, "x-memory": memory})
        asked.raise_for_status()
        assert upstream.requests[-1].json["messages"][-1]["content"] == parts
    assert listener.connections_opened == 0


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/items", "/v1/memory/import"])
def test_no_url_in_what_is_stored_is_fetched(
    http: httpx.Client,
    listener: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
    path: str,
) -> None:
    said = {"role": "user", "content": f"{listener.origin}/x", "session_id": "s"}
    kept = {name: said[name] for name in ("content",)} if path == "/v1/items" else said
    answer = http.post(path, json=kept, headers=person())
    assert answer.status_code in {200, 201}, answer.text
    assert listener.connections_opened == 0


def test_no_header_chooses_the_upstream(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    listener: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
) -> None:
    elsewhere = listener.origin.removeprefix("http://")
    led = {
        "host": elsewhere,
        "x-forwarded-host": elsewhere,
        "forwarded": f"host={elsewhere}",
        "x-upstream-base": listener.origin,
        "x-portkey-custom-host": listener.origin,
        "helicone-target-url": listener.origin,
        "openai-organization": "somebody",
    }
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    http.post(CHAT, json=body, headers={**person(), **led}).raise_for_status()
    (asked,) = upstream.requests
    assert asked.headers["host"] == upstream.origin.removeprefix("http://")
    assert not set(asked.headers) & (set(led) - {"host"})
    assert listener.connections_opened == 0


@pytest.mark.parametrize("id", ["../../admin", "..%2f..%2fadmin", "%2e%2e/%2e%2e/admin", "a?x=y"])
def test_a_models_id_stays_below_the_upstreams_base(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
    id: str,
) -> None:
    assert http.get(f"/v1/models/{id}", headers=person()).status_code in {200, 404}
    assert {one.path for one in upstream.requests} <= {"/v1/models"}
