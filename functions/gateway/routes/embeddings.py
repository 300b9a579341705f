"""`POST /v1/embeddings`: the upstream's, for clients that have one URL."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.embedding import Embedding
from gateway.identity.base import Authenticator
from gateway.routes.requests import call_of, caller_of, read_body
from gateway.routes.responses import respond


def embedding_routes(door: Authenticator, embedding: Embedding, max_body_bytes: int) -> list[Route]:
    async def embed(request: Request) -> Response:
        caller = await caller_of(request, door, "reader")
        call = call_of(request, caller)
        return respond(
            await embedding.embed(caller, await read_body(request, max_body_bytes), call)
        )

    return [Route("/v1/embeddings", embed, methods=["POST"])]
