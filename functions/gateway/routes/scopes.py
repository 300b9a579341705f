"""Which scope of a credential each route asks for. Pure.

A route that nothing is said about asks for `memory:read` to be read from and for `memory:write`
otherwise; those about the service or the caller alone are open to whoever signs in.
"""

from gateway.accounts.key import Scope
from gateway.errors import Forbidden
from gateway.identity.base import Identity

READING = ("GET", "HEAD")
CHAT = ("/v1/chat", "/v1/compress", "/v1/models", "/v1/embeddings", "/v1/responses")
ADMIN = ("/v1/admin", "/v1/keys")
ANYBODY = ("/health", "/v1/me", "/v1/usage")
WORKSPACES = "/v1/workspaces"
QUESTIONS = ("/v1/memory/search", "/v1/memory/context", "/v1/memory/orchestrated-search")
"""They change nothing, though they are sent with a body."""


def scope_of(method: str, path: str) -> Scope | None:
    """`path` as the router has it, such as `/v1/messages/{id}`."""
    if _under(path, ANYBODY):
        return None
    if _under(path, CHAT):
        return "chat"
    if _under(path, ADMIN) or (_under(path, (WORKSPACES,)) and method not in READING):
        return "admin"
    return "memory:read" if method in READING or path in QUESTIONS else "memory:write"


def check_scope(method: str, path: str, identity: Identity) -> None:
    """Raises `Forbidden`."""
    scope = scope_of(method, path)
    if scope is not None and scope not in identity.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.", code="insufficient_scope")


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
