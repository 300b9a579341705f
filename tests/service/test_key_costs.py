"""What a turn costs the store through the whole service, by configured keys and by made ones."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from gateway.settings import Settings
from gateway.wiring import parts, services

ALICE = {"x-api-key": "sk-alice"}
TURN = Operations(reads=2, writes=3)


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "memory.db")))
    yield opened
    await opened.close()


@pytest.fixture
async def client(
    documents: MeteredDocuments, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(parts, "documents_from", lambda _: documents)
    settings = Settings(
        _env_file=None,
        api_keys="alice:sk-alice",
        global_requests_per_minute=0,
        daily_token_budget=1_000_000,
        daily_cost_budget_usd=10,
        price_prompt_per_million=2,
        price_completion_per_million=8,
    )
    transport = httpx.ASGITransport(app=services.build(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as opened:
        yield opened


async def says(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    said = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    named = {**headers, "x-session-id": "s"}
    (await client.post("/v1/chat/completions", json=said, headers=named)).raise_for_status()


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, str]:
    body = {"name": "n", "scopes": ["chat"], **fields}
    answer = await client.post("/v1/keys", json=body, headers=ALICE)
    return {"x-api-key": answer.raise_for_status().json()["key"]}


async def test_budgets_and_keys_leave_a_turn_what_it_cost(
    client: httpx.AsyncClient, documents: MeteredDocuments
) -> None:
    await says(client, ALICE)
    plain = await made(client)
    limited = await made(client, limits={"requests_per_minute": 60})
    first = Operations(TURN.reads + 1, TURN.writes + 1)  # the key is read, and its use written
    for headers, own, known in (
        (ALICE, 0, TURN),
        (plain, 0, first),
        (limited, 2, first),  # a document of its own, when admitted and when settled
    ):
        documents.reset()
        await says(client, headers)
        assert documents.reset() == Operations(known.reads, known.writes + own)
        await says(client, headers)
        assert documents.reset() == Operations(TURN.reads, TURN.writes + own)
