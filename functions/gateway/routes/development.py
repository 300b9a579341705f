"""The development issuer's certificates and tokens, for local runs only.

Only loopback clients get one: whoever holds a token can be anybody here.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.errors import BadRequest, NotFound
from gateway.identity.development import DevelopmentIssuer
from gateway.routes.requests import read_body
from gateway.routes.responses import json_response

LOOPBACK = frozenset({"127.0.0.1", "::1"})
MAX_NAME_CHARACTERS = 64


def development_routes(issuer: DevelopmentIssuer, audience: str) -> list[Route]:
    async def certificates(request: Request) -> Response:
        _from_loopback(request)
        return json_response(issuer.certificates(), headers={"cache-control": "max-age=3600"})

    async def token(request: Request) -> Response:
        _from_loopback(request)
        name = parse_object(await read_body(request, 4096)).get("name")
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise BadRequest("'name' must be a non-empty string.", param="name")
        if len(name) > MAX_NAME_CHARACTERS:
            raise BadRequest(f"'name' takes {MAX_NAME_CHARACTERS} characters.", param="name")
        return json_response({"id_token": issuer.issue(name.strip(), audience)})

    return [
        Route("/development/certs", certificates, methods=["GET"]),
        Route("/development/token", token, methods=["POST"]),
    ]


def _from_loopback(request: Request) -> None:
    if request.client is None or request.client.host not in LOOPBACK:
        raise NotFound("Not found.")
