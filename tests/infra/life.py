"""A short life in the service, for what it leaves behind: documents and log lines."""

import asyncio
import json
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.settings import Settings
from gateway.wiring.services import build, build_cleanup

ALICE = {"authorization": "Bearer sk-alice"}
LONG_AGO = "2024-01-01T12:00:00Z"


@dataclass(frozen=True)
class Stored:
    path: str
    fields: dict[str, Any]
    expires: bool

    @property
    def collection(self) -> str:
        return self.path.split("/")[-2]


@dataclass(frozen=True)
class Life:
    documents: list[Stored]
    lines: list[dict[str, Any]]


def lived(folder: Path) -> Life:
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(record.getMessage()))  # type: ignore[method-assign]  # what a handler is for
    logger = logging.getLogger("gateway.requests")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(_live(folder / "memory.db"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return Life(_stored(folder / "memory.db"), lines)


async def _live(store: Path) -> None:
    settings = Settings(
        _env_file=None,
        api_keys="alice:sk-alice",
        store_url=f"sqlite:///{store}",
        retention_max_age_days=30,
        development_issuer=False,
        google_client_id="",
        upstream_base="",
        retriever_url="lexical:",
        k_service="",
        environment="development",
    )
    async with _client(build(settings)) as gateway:
        await _speak(gateway)
        await _remember_long_ago(gateway)
    async with _client(build_cleanup(settings)) as cleanup:
        for task in ("retention", "catalogue"):
            (await cleanup.post("/", params={"task": task})).raise_for_status()


async def _speak(gateway: httpx.AsyncClient) -> None:
    said = {"role": "user", "content": "My dog is called Rex and he likes apples."}
    asked = {"role": "user", "content": "What does my dog like?"}
    turn = {"model": "preview", "messages": [said]}
    first = await gateway.post(
        "/v1/chat/completions", json=turn, headers={**ALICE, "Idempotency-Key": "once"}
    )
    answer = first.raise_for_status().json()["choices"][0]["message"]
    resent = {"model": "preview", "messages": [said, answer, asked]}
    (await gateway.post("/v1/chat/completions", json=resent, headers=ALICE)).raise_for_status()
    (await gateway.get("/v1/memory/export", headers=ALICE)).raise_for_status()


async def _remember_long_ago(gateway: httpx.AsyncClient) -> None:
    """More than a session's tail holds, and old enough for the archive."""
    said = [
        {"content": f"the weather on walk number {n}", "at": LONG_AGO, "session_id": "old"}
        for n in range(60)
    ]
    (await gateway.post("/v1/messages", json={"messages": said}, headers=ALICE)).raise_for_status()


def _client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


def _stored(store: Path) -> list[Stored]:
    connection = sqlite3.connect(store)
    try:
        rows = connection.execute("SELECT path, fields, expires_at FROM documents").fetchall()
    finally:
        connection.close()
    return [Stored(path, json.loads(fields), expires is not None) for path, fields, expires in rows]
