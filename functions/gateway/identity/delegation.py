"""What a credential may hand on to a key that it makes: never more than it has itself. Pure."""

from gateway.accounts.key import SCOPES, Key, Scope
from gateway.accounts.workspace import PERSONAL
from gateway.errors import Forbidden
from gateway.identity.base import Identity


def workspace_for(maker: Identity, wanted: str | None) -> str:
    """The workspace of the new key. Raises `Forbidden` for another than a bound maker's own.

    Whether the person is a member of it is not known here.
    """
    workspace = wanted or maker.workspace
    if workspace in {maker.owner, maker.subject}:
        workspace = maker.workspace if maker.bound else PERSONAL
    if maker.bound and workspace != maker.workspace:
        raise Forbidden(
            "A key makes keys for its own workspace alone.", code="key_bound", param="workspace"
        )
    return workspace


def check_scopes(maker: Identity, scopes: frozenset[Scope]) -> None:
    """Raises `Forbidden`."""
    beyond = [scope for scope in SCOPES if scope in scopes - maker.scopes]
    if beyond:
        raise Forbidden(
            f"Your own credential lacks the scope {beyond[0]}.",
            code="insufficient_scope",
            param="scopes",
        )


def check_end(maker: Identity, valid_until: float | None) -> None:
    """No key outlives the one that made it. Raises `Forbidden`."""
    end = maker.key.valid_until if maker.key else None
    if end is not None and (valid_until is None or valid_until > end):
        raise Forbidden(
            "A key makes no key that is good for longer than itself.",
            code="key_outlives",
            param="expires_at",
        )


def check_unlimited(maker: Identity) -> None:
    """A key with limits or budgets of its own makes and changes none: it would shed them.

    Raises `Forbidden`.
    """
    if maker.key is not None and maker.key.allowance:
        raise Forbidden("A key with limits of its own manages no keys.", code="key_limited")


def manages(maker: Identity, key: Key) -> bool:
    """Whether `maker` may change and revoke it: one of its person's that is no more than itself."""
    if key.subject != maker.subject:
        return False
    if maker.bound and key.workspace != maker.workspace:
        return False
    return key.scopes <= maker.scopes
