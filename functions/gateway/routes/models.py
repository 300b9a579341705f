"""`GET /v1/models` and `GET /v1/models/{id}`: the upstream's list, cached, stale if it errs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GatewayError, NotFound, UpstreamFailed
from gateway.identity.base import Authenticator
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response
from gateway.upstream.base import Upstream, UpstreamRequest

FRESH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Catalogue:
    models: list[dict[str, Any]]
    fetched_at: float


class Models:
    def __init__(self, door: Authenticator, upstream: Upstream, clock: Callable[[], float]) -> None:
        self._door = door
        self._upstream = upstream
        self._clock = clock
        self._catalogue: _Catalogue | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.all, methods=["GET"]),
            Route("/v1/models/{id:path}", self.one, methods=["GET"]),
        ]

    async def all(self, request: Request) -> Response:
        await caller_of(request, self._door)
        return json_response({"object": "list", "data": await self._models()})

    async def one(self, request: Request) -> Response:
        await caller_of(request, self._door)
        wanted = request.path_params["id"]
        for model in await self._models():
            if model.get("id") == wanted:
                return json_response(model)
        raise NotFound("No such model.", code="model_not_found", param="model")

    async def _models(self) -> list[dict[str, Any]]:
        known = self._catalogue
        if known and self._clock() < known.fetched_at + FRESH_SECONDS:
            return known.models
        try:
            models = await self._fetched()
        except GatewayError:
            if known is None:
                raise
            return known.models
        self._catalogue = _Catalogue(models, self._clock())
        return models

    async def _fetched(self) -> list[dict[str, Any]]:
        response = await self._upstream.send(
            UpstreamRequest("GET", "models", {"accept": "application/json"})
        )
        try:
            body = await response.read()
        finally:
            await response.close()
        if response.status != 200:
            raise UpstreamFailed(f"The upstream's model list answered {response.status}.")
        try:
            payload = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise UpstreamFailed("The upstream's model list is not JSON.") from None
        data = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(data, list):
            raise UpstreamFailed("The upstream's model list has another shape.")
        return [model for model in data if isinstance(model, dict)]
