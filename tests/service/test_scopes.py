"""The scope that each route asks for: with it alone a key gets past, with all others it does not.

The routes come from the router, so a new one fails here until it says which scope it asks for.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.accounts.allowance import NOTHING_SAID
from gateway.accounts.key import SCOPES, Scope
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import PERSONAL
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from gateway.routes.scopes import scope_of
from gateway.settings import Settings
from gateway.wiring import parts, services

Method = tuple[str, str]
"""A method and the path of a route."""

NOBODY = "no credential is asked for"
ANY = "any"
OWN = "a token of its own, and nobody's key"

ASKED: dict[str, str] = {
    "GET /health": NOBODY,
    "GET /health/detailed": ANY,
    "GET /metrics": OWN,
    "GET /openapi.json": NOBODY,
    "GET /docs": NOBODY,
    "GET /": NOBODY,
    "GET /console/config.json": NOBODY,
    "GET /console/{path:path}": NOBODY,
    "POST /v1/chat/completions": "chat",
    "POST /v1/responses": "chat",
    "POST /v1/compress": "chat",
    "PATCH /v1/sessions/{session}": "memory:write",
    "POST /v1/messages/{id}/restore": "memory:write",
    "GET /v1/memory/archive": "memory:read",
    "GET /v1/memory/staging": "memory:read",
    "POST /v1/embeddings": "chat",
    "GET /v1/models": "chat",
    "GET /v1/models/{id:path}": "chat",
    "POST /v1/messages": "memory:write",
    "GET /v1/messages/{id}": "memory:read",
    "PATCH /v1/messages/{id}": "memory:write",
    "DELETE /v1/messages/{id}": "memory:write",
    "GET /v1/sessions": "memory:read",
    "DELETE /v1/sessions/{session}": "memory:write",
    "GET /v1/sessions/{session}/messages": "memory:read",
    "GET /v1/memory/receipts/{id}": "memory:read",
    "GET /v1/memory/search": "memory:read",
    "POST /v1/memory/search": "memory:read",
    "GET /v1/memory/status": "memory:read",
    "POST /v1/memory/rebuild-index": "memory:write",
    "GET /v1/memory/entities": "memory:read",
    "POST /v1/memory/entities": "memory:write",
    "GET /v1/memory/entities/{id}": "memory:read",
    "PATCH /v1/memory/entities/{id}": "memory:write",
    "DELETE /v1/memory/entities/{id}": "memory:write",
    "GET /v1/memory/entities/{id}/versions": "memory:read",
    "GET /v1/memory/entities/{id}/versions/{number}": "memory:read",
    "GET /v1/memory/entities/{id}/diff": "memory:read",
    "GET /v1/memory/entities/{id}/blame": "memory:read",
    "POST /v1/memory/process-session": "memory:write",
    "POST /v1/memory/commit-session": "memory:write",
    "POST /v1/memory/process-and-commit": "memory:write",
    "GET /v1/memory/staging/{session}": "memory:read",
    "DELETE /v1/memory/staging/{session}": "memory:write",
    "DELETE /v1/memory/staging/{session}/operations/{operation}": "memory:write",
    "GET /v1/memory/commits": "memory:read",
    "POST /v1/memory/commits/{sequence}/revert": "memory:write",
    "POST /v1/memory/context": "memory:read",
    "POST /v1/memory/orchestrated-search": "memory:read",
    "GET /v1/memory/export": "memory:read",
    "POST /v1/memory/import": "memory:write",
    "DELETE /v1/memory": "memory:write",
    "GET /v1/items": "memory:read",
    "POST /v1/items": "memory:write",
    "GET /v1/items/{id}": "memory:read",
    "GET /v1/workspaces": "memory:read",
    "POST /v1/workspaces": "admin",
    "GET /v1/workspaces/{workspace}": "memory:read",
    "PATCH /v1/workspaces/{workspace}": "admin",
    "DELETE /v1/workspaces/{workspace}": "admin",
    "POST /v1/workspaces/{workspace}/members": "admin",
    "PATCH /v1/workspaces/{workspace}/members/{member:path}": "admin",
    "DELETE /v1/workspaces/{workspace}/members/{member:path}": "admin",
    "GET /v1/me": ANY,
    "GET /v1/usage": ANY,
    "GET /v1/keys": "admin",
    "POST /v1/keys": "admin",
    "PATCH /v1/keys/{id}": "admin",
    "DELETE /v1/keys/{id}": "admin",
}


def asked(method: str, path: str) -> str | None:
    return "admin" if path.startswith("/v1/admin/") else ASKED.get(f"{method} {path}")


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "memory.db")))
    yield opened
    await opened.close()


@pytest.fixture
def app(documents: MeteredDocuments, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """The service in this process, on a store whose operations are counted."""
    monkeypatch.setattr(parts, "documents_from", lambda _: documents)
    settings = Settings(
        _env_file=None, api_keys="alice:sk-alice", metrics_enabled=True, metrics_token="scrape"
    )
    return services.build(settings)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as opened:
        yield opened


@pytest.fixture
async def keys(documents: MeteredDocuments) -> dict[frozenset[Scope], str]:
    """A key for each set of scopes."""
    stored, made = Keys(documents, lambda: 1_700_000_000.0, Random(7)), {}
    for count in range(1, len(SCOPES) + 1):
        for chosen in itertools.combinations(SCOPES, count):
            scopes = frozenset(chosen)
            _, made[scopes] = await stored.create(
                "key:alice", PERSONAL, "k", scopes, None, NOTHING_SAID, None
            )
    return made


def routes(app: Starlette) -> list[Method]:
    found = [route for route in app.routes if isinstance(route, Route)]
    return [(method, one.path) for one in found for method in (one.methods or set()) - {"HEAD"}]


def test_every_route_says_which_scope_it_asks_for(app: Starlette) -> None:
    """Give a new route its row above."""
    assert {one for one in routes(app) if asked(*one) is None} == set()


def test_a_route_nobody_thought_of_asks_for_the_memorys_scopes() -> None:
    assert scope_of("GET", "/v1/new") == scope_of("HEAD", "/v1/new") == "memory:read"
    assert scope_of("POST", "/v1/new") == scope_of("PUT", "/v1/mean") == "memory:write"
    assert scope_of("POST", "/v1/admin/retention") == "admin"
    assert scope_of("POST", "/v1/chatter") == "memory:write"


async def test_a_key_gets_past_with_the_scope_and_not_with_all_others(
    app: Starlette,
    client: httpx.AsyncClient,
    keys: dict[frozenset[Scope], str],
    documents: MeteredDocuments,
) -> None:
    for key in keys.values():
        await client.get("/v1/me", headers={"x-api-key": key})  # from here on it is known
    tried = 0
    for method, path in routes(app):
        scope = asked(method, path)
        if scope in {NOBODY, OWN, None}:
            continue
        for scopes, key in keys.items():
            documents.reset()
            answer = await client.request(method, named(path), headers={"x-api-key": key})
            lacking = scope not in {ANY, *scopes}
            assert ("insufficient_scope" in answer.text) == lacking, (method, path, scopes)
            assert answer.status_code != 401
            if lacking:
                assert answer.status_code == 403
                assert documents.operations == Operations()
            tried += 1
    assert tried > 500


async def test_no_key_opens_what_asks_for_a_token_of_its_own(
    app: Starlette, client: httpx.AsyncClient, keys: dict[frozenset[Scope], str]
) -> None:
    own = [(method, path) for method, path in routes(app) if asked(method, path) == OWN]
    assert own
    for (method, path), key in itertools.product(own, [*keys.values(), "sk-alice"]):
        for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
            assert (await client.request(method, path, headers=headers)).status_code == 401


def named(path: str) -> str:
    """With something in the place of its parameters."""
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, "1")
    return path


async def test_the_scope_is_asked_before_the_workspace(
    client: httpx.AsyncClient, keys: dict[frozenset[Scope], str]
) -> None:
    headers = {"x-api-key": keys[frozenset({"chat"})], "x-workspace-id": "ws_" + "a" * 26}
    answer = await client.get("/v1/sessions", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")


async def test_the_configurations_keys_have_all_scopes(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/me", headers={"x-api-key": "sk-alice"})).json()
    assert told == {
        "subject": "key:alice",
        "workspace": "personal",
        "scopes": list(SCOPES),
        "admin": False,
    }
