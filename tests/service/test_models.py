"""`/v1/models`: the upstream's list, asked for once, whatever becomes of the upstream."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.service import serving
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

MODEL = {"id": "org/big:free", "object": "model", "created": 1, "owned_by": "x", "context": 8}
LIST = Answer.json({"object": "list", "data": [MODEL]})


@pytest.fixture
def newcomer(upstream: LoopbackUpstream, tmp_path: Path) -> Iterator[httpx.Client]:
    """A service that has not asked for models yet."""
    with (
        serving(tmp_path, UPSTREAM_BASE=upstream.origin, UPSTREAM_API_KEY="upstream-key") as one,
        httpx.Client(base_url=one.url, timeout=20, trust_env=False) as client,
    ):
        client.headers["x-api-key"] = "sk-alice"
        yield client


def test_the_upstreams_list_is_asked_for_once(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    upstream.queue(LIST, path="models")
    for _ in range(2):
        assert newcomer.get("/v1/models").json() == {"object": "list", "data": [MODEL]}
    assert newcomer.get("/v1/models/org/big:free").json() == MODEL
    assert newcomer.get("/v1/models/org%2Fbig:free").json() == MODEL
    assert newcomer.get("/v1/models/org").json()["error"]["code"] == "model_not_found"
    (asked,) = upstream.requests
    assert (asked.method, asked.path, asked.body) == ("GET", "/v1/models", b"")
    assert asked.headers["authorization"] == "Bearer upstream-key"
    assert "x-api-key" not in asked.headers


def test_a_list_that_could_not_be_had_is_an_error_and_asked_for_again(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    failures = [
        Answer.error(500, "Boom.", "server_error"),
        Answer.html(200),
        Answer.json({"data": "none"}),
        Answer.json([]),
        Answer.hang_up(),
    ]
    upstream.queue(*failures, LIST, path="models")
    for _ in failures:
        answer = newcomer.get("/v1/models")
        assert answer.status_code == 502
        assert answer.json()["error"]["type"] == "upstream_error"
    assert newcomer.get("/v1/models").json()["data"] == [MODEL]


def test_models_are_only_for_those_who_sign_in(
    newcomer: httpx.Client, upstream: LoopbackUpstream
) -> None:
    for path in ("/v1/models", "/v1/models/m"):
        assert newcomer.get(path, headers={"x-api-key": "sk-nobody"}).status_code == 401
    assert upstream.requests == []
