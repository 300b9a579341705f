"""The cleanup target as Cloud Scheduler calls it, and the local process that sweeps by itself."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.documents.base import Set
from gateway.documents.sqlite import SqliteDocuments
from gateway.retention.sweep import LEASE_PATH
from support.service import serving
from support.upstream import Answer, LoopbackUpstream, closed_port

pytestmark = pytest.mark.service

LONG_AGO = "2024-01-01T12:00:00Z"
MODEL = {"id": "m", "object": "model", "created": 1, "owned_by": "x"}
ALICE = {"x-api-key": "sk-alice"}
MESSAGES = "/v1/sessions/old/messages"
SAID, IN_USE = 60, 12  # the session's newest turns stay with it: it was written to just now
PATIENCE_SECONDS = 20.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder whose store holds sixty plain messages of long ago."""
    with serving(tmp_path, RETENTION_SCHEDULE_SECONDS="0") as service, client(service.url) as http:
        remember_long_ago(http)
    return tmp_path


@pytest.fixture
def cleanup(store: Path, upstream: LoopbackUpstream) -> Iterator[httpx.Client]:
    with (
        serving(store, target="cleanup", UPSTREAM_BASE=upstream.base_url) as service,
        client(service.url) as http,
    ):
        yield http


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The cleanup over a store that holds nothing."""
    folder = tmp_path_factory.mktemp("empty")
    with serving(folder, target="cleanup") as service, client(service.url) as http:
        yield http


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False)


def remember_long_ago(http: httpx.Client) -> None:
    said = [
        {"content": f"the weather on walk number {n}", "at": LONG_AGO, "session_id": "old"}
        for n in range(SAID)
    ]
    http.post("/v1/messages", json={"messages": said}, headers=ALICE).raise_for_status()


def remembered(http: httpx.Client) -> int:
    return len(http.get(MESSAGES, headers=ALICE).raise_for_status().json()["data"])


def did(report: dict[str, Any]) -> dict[str, Any]:
    """What should not depend on whether a run is dry."""
    own = ("dry_run", "documents_read", "seconds")
    return {name: value for name, value in report.items() if name not in own}


def test_a_dry_run_reports_and_a_real_one_does_what_it_said(
    cleanup: httpx.Client, store: Path
) -> None:
    dry = cleanup.post("/?dry_run=1").raise_for_status().json()
    real = cleanup.post("/").raise_for_status().json()
    assert (dry["dry_run"], real["dry_run"]) == (True, False)
    assert did(dry) == did(real)
    assert did(real) == {
        "task": "retention",
        "owners": 1,
        "archived": SAID - IN_USE,
        "deleted": 0,
        "expired": 0,
        "skipped": 0,
        "held": 0,
        "rolled_up": 0,
        "failed": [],
        "cursor": None,
    }
    assert real["documents_read"] > 0
    assert real["seconds"] >= 0
    assert cleanup.get("/?task=retention&dry_run=0").json()["archived"] == 0
    with serving(store, RETENTION_SCHEDULE_SECONDS="0") as service, client(service.url) as http:
        assert remembered(http) == IN_USE


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("task=everything", "task"),
        ("task=", "task"),
        ("dry_run=maybe", "dry_run"),
        ("dry_run=", "dry_run"),
        ("dry_run=0&dry_run=1", "dry_run"),
        ("dryrun=1", "dryrun"),
        ("task=catalogue&owner=alice", "owner"),
    ],
)
def test_what_cannot_be_meant_is_refused(empty: httpx.Client, query: str, param: str) -> None:
    answer = empty.post(f"/?{query}")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_nothing_else_is_served_there(empty: httpx.Client) -> None:
    assert empty.get("/v1/models", headers=ALICE).status_code == 404
    assert empty.post("/retention").status_code == 404
    for method in ("HEAD", "PUT", "DELETE"):
        assert empty.request(method, "/").status_code == 405


def test_the_public_gateway_has_no_way_in(http: httpx.Client) -> None:
    for path in ("/", "/cleanup", "/?task=retention", "/v1/cleanup"):
        assert http.post(path, headers=ALICE).status_code in {404, 405}
    for path in ("/cleanup", "/v1/cleanup"):
        assert http.get(path, headers=ALICE).status_code == 404


def test_a_second_run_is_told_to_come_again(cleanup: httpx.Client, store: Path) -> None:
    asyncio.run(lease(store, seconds=100))
    answer = cleanup.post("/")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "already_running"
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert cleanup.post("/?dry_run=1").json()["archived"] == SAID - IN_USE


async def lease(store: Path, seconds: float) -> None:
    """As somebody else's run holds it."""
    documents = SqliteDocuments(str(store / "memory.db"))
    fields = {"holder": "x", "until": time.time() + seconds, "cursor": None, "finished": 0.0}
    await documents.commit(Set(LEASE_PATH, {"schema": 1, **fields}))
    await documents.close()


def test_a_refreshed_catalogue_outlives_the_upstream(
    cleanup: httpx.Client, upstream: LoopbackUpstream, store: Path
) -> None:
    models = Answer.json({"object": "list", "data": [MODEL]})
    upstream.queue(models, models, Answer.error(500, "Boom.", "server_error"), path="models")
    dry = cleanup.post("/?task=catalogue&dry_run=true").raise_for_status().json()
    real = cleanup.post("/?task=catalogue").raise_for_status().json()
    assert did(dry) == did(real) == {"task": "catalogue", "models": 1}
    assert cleanup.post("/?task=catalogue").status_code == 502
    away = f"http://127.0.0.1:{closed_port()}"
    with serving(store, UPSTREAM_BASE=away) as service, client(service.url) as http:
        answer = http.get("/v1/models", headers=ALICE).raise_for_status()
    assert answer.json()["data"] == [MODEL]


def test_a_local_process_sweeps_by_itself(store: Path) -> None:
    with serving(store) as service, client(service.url) as http:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while remembered(http) > IN_USE:
            assert time.monotonic() < deadline, service.log
        assert "ERROR" not in service.log
