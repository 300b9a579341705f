"""`GET /health` and `GET /health/detailed` of the real service."""

from datetime import datetime
from pathlib import Path

import httpx
import pytest

from support.service import serving
from support.upstream import Answer, LoopbackUpstream, closed_port

pytestmark = pytest.mark.service

ALICE = {"x-api-key": "sk-alice"}
CHECKS = {"documents", "retriever", "upstream", "certificates"}


def ask(url: str, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=url, timeout=20.0, trust_env=False) as client:
        return client.get("/health/detailed", headers=headers)


def test_strangers_learn_whether_and_nothing_else(http: httpx.Client) -> None:
    answer = http.get("/health/detailed")
    assert answer.json().keys() == {"status", "timestamp"}
    assert answer.headers["cache-control"] == "no-store"
    assert datetime.fromisoformat(answer.json()["timestamp"]).tzinfo is not None


def test_a_credential_that_is_not_good_is_refused(http: httpx.Client) -> None:
    for headers in ({"x-api-key": "sk-nobody"}, {"authorization": "Bearer a.b.c"}):
        assert http.get("/health/detailed", headers=headers).status_code == 401


def test_it_is_read_and_not_written(http: httpx.Client) -> None:
    assert http.post("/health/detailed").status_code == 405


def test_who_signs_in_sees_every_check(tmp_path: Path, upstream: LoopbackUpstream) -> None:
    upstream.queue(Answer.json({"object": "list", "data": []}), path="models")
    with serving(tmp_path, UPSTREAM_BASE=upstream.base_url) as service:
        answer = ask(service.url, **ALICE)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert body["checks"].keys() == CHECKS
    assert body["checks"]["documents"]["latency_ms"] > 0
    assert body["checks"]["certificates"]["status"] == "unknown"
    assert body["checks"]["upstream"]["last_success"] is not None
    assert upstream.requests[0].method == "GET"
    assert len(upstream.requests) == 1


def test_an_upstream_that_is_away_makes_it_unhealthy_but_not_dead(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{closed_port()}"
    with serving(tmp_path, UPSTREAM_BASE=away) as service:
        known, stranger = ask(service.url, **ALICE), ask(service.url)
        alive = httpx.get(f"{service.url}/health", trust_env=False)
    assert (known.status_code, stranger.status_code, alive.status_code) == (503, 503, 200)
    assert known.json()["checks"]["upstream"]["status"] == "unhealthy"
    assert known.json()["checks"]["documents"]["status"] == "healthy"
    assert "127.0.0.1" not in known.text


def test_a_gpu_tier_is_not_asked(tmp_path: Path, upstream: LoopbackUpstream) -> None:
    with serving(tmp_path, RETRIEVER_URL=upstream.base_url) as service:
        body = ask(service.url, **ALICE).json()
    assert body["status"] == "healthy"
    assert body["checks"]["retriever"]["status"] == "unknown"
    assert upstream.requests == []
