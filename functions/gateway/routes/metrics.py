"""`GET /metrics`: this process's metrics, for a scraper that has the token of `METRICS_TOKEN`.

A token of its own: a scraper's is good for nothing else, and nobody's key or ID token for this.
"""

import hashlib
import hmac

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import Unauthenticated
from gateway.telemetry.metrics import Metrics


def metrics_routes(metrics: Metrics, token: str) -> list[Route]:
    async def tell(request: Request) -> Response:
        if not _is(token, request.headers.get("authorization", "")):
            raise Unauthenticated("Metrics take the token of METRICS_TOKEN as a Bearer.")
        text, media_type = metrics.told()
        return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})

    return [Route("/metrics", tell, methods=["GET"])]


def _is(token: str, authorization: str) -> bool:
    """In constant time; an empty token is nobody's."""
    scheme, _, given = authorization.strip().partition(" ")
    same = hmac.compare_digest(_digest(given.strip()), _digest(token))
    return same and bool(token) and scheme.lower() == "bearer"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
