"""Somebody who administers, and people who talk, over HTTP in this process."""

from collections.abc import Callable
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.accounts.workspace import digest
from gateway.settings import Settings
from gateway.wiring import services

Json = dict[str, Any]
Open = Callable[..., httpx.AsyncClient]

SETTINGS: dict[str, Any] = {
    "api_keys": "ops:sk-ops,alice:sk-alice,bob:sk-bob",
    "admin_subjects": "key:ops",
    "requests_per_minute": 0,
    "tokens_per_minute": 0,
    "global_requests_per_minute": 0,
}

ALICE, BOB = digest("key:alice"), digest("key:bob")
CANARY = "zyxonite9417"


def built(**settings: Any) -> Starlette:
    return services.build(Settings(_env_file=None, **{**SETTINGS, **settings}))


class Person:
    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self._client = client
        self._headers = {"x-api-key": f"sk-{name}"}

    async def asks(
        self, method: str, path: str, body: Json | None = None, **headers: str
    ) -> httpx.Response:
        return await self._client.request(
            method, path, headers={**self._headers, **headers}, json=body
        )

    async def gets(self, path: str) -> Json:
        answer: Json = (await self.asks("GET", path)).raise_for_status().json()
        return answer

    async def says(self, text: str, session: str = "s") -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        headers = {"x-session-id": session}
        answer = await self.asks("POST", "/v1/chat/completions", body, **headers)
        return answer.raise_for_status()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])
