"""`GET /v1/models` and `GET /v1/models/{id}`: the upstream's list."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import NotFound
from gateway.identity.base import Authenticator
from gateway.routes.requests import caller_of
from gateway.routes.responses import json_response
from gateway.upstream.catalogue import Catalogue


class ModelRoutes:
    def __init__(self, door: Authenticator, catalogue: Catalogue) -> None:
        self._door = door
        self._catalogue = catalogue

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.all, methods=["GET"]),
            Route("/v1/models/{id:path}", self.one, methods=["GET"]),
        ]

    async def all(self, request: Request) -> Response:
        await caller_of(request, self._door)
        return json_response({"object": "list", "data": await self._catalogue.models()})

    async def one(self, request: Request) -> Response:
        await caller_of(request, self._door)
        wanted = request.path_params["id"]
        for model in await self._catalogue.models():
            if model.get("id") == wanted:
                return json_response(model)
        raise NotFound("No such model.", code="model_not_found", param="model")
