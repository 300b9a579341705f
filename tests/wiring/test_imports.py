"""What a cold start imports, by name: its time is mostly this list."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.routing import Match, Route

from gateway.settings import Settings
from gateway.wiring.services import begin, build

FUNCTIONS = Path(__file__).parents[2] / "functions"
HEAVY = (
    "aiohttp",
    "cryptography",
    "gateway.accounts.admins",
    "gateway.accounts.audit",
    "gateway.consulting",
    "gateway.context",
    "gateway.documents.firestore",
    "gateway.entities",
    "gateway.identity.development",
    "gateway.limits.days",
    "gateway.limits.report",
    "gateway.portability",
    "gateway.reference",
    "gateway.retention",
    "gateway.retrieval.remote",
    "gateway.routes.admins",
    "gateway.routes.keys",
    "gateway.search",
    "gateway.telemetry.opentelemetry",
    "gateway.telemetry.prometheus",
    "gateway.upstream.aiohttp",
    "gateway.upstream.preview",
    "google.api_core",
    "google.auth",
    "google.cloud.firestore_v1",
    "grpc",
    "httpcore",
    "opentelemetry",
    "phonenumbers",
    "prometheus_client",
    "retriever_contract",
    "rs_bpe",
)


def test_the_first_answer_waits_for_no_room_that_it_does_not_enter(tmp_path: Path) -> None:
    script = f"import main, sys; print(*[one for one in {HEAVY} if one in sys.modules])"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FUNCTIONS)}
    environment |= {"UPSTREAM_BASE": "http://127.0.0.1:9", "API_KEYS": "me:key"}
    command = [sys.executable, "-W", "ignore", "-c", script]
    imported = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert imported.stdout.split() == []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, store_url=f"sqlite:///{tmp_path / 'memory.db'}")


def test_what_is_made_later_is_what_would_have_been_made_at_once(settings: Settings) -> None:
    whole, begun = build(settings), begin(settings)
    *first, later = begun.routes
    assert all(isinstance(route, Route) for route in first)
    routes = {(r.path, *sorted(r.methods or ())) for r in whole.routes if isinstance(r, Route)}
    made = later.made()  # type: ignore[attr-defined]  # the last one is a `Later`
    assert {(r.path, *sorted(r.methods or ())) for r in made if isinstance(r, Route)} == routes


def test_a_socket_is_no_request_to_wait_for(settings: Settings) -> None:
    later = begin(settings).routes[-1]
    assert later.matches({"type": "websocket"}) == (Match.NONE, {})


async def test_a_failure_to_make_them_is_tried_again() -> None:
    from gateway.routes.later import Later

    attempts = iter([OSError("no file"), None])

    def make() -> list[Route]:
        if error := next(attempts):
            raise error
        return []

    later = Later(make)
    failed = await asyncio.gather(later.ready(), later.ready(), return_exceptions=True)
    assert [type(one) for one in failed] == [OSError, OSError]
    assert (await later.ready()).routes == []
