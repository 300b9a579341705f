"""Whose keys there are, what they used, what admins allow them."""

from starlette.routing import Route

from gateway.accounts.admins import Admins
from gateway.accounts.audit import Audit
from gateway.limits.report import Report
from gateway.routes.account import AccountRoutes
from gateway.routes.admins import Office
from gateway.routes.grants import GrantRoutes
from gateway.routes.keys import KeyRoutes
from gateway.wiring.parts import Parts


def accounting(parts: Parts) -> list[Route]:
    admins = Admins(parts.settings.admins)
    keys = KeyRoutes(
        parts.door,
        parts.keys,
        parts.stored_keys.forget,
        parts.workspaces,
        parts.clock,
        limiter=parts.limiter,
        max_body_bytes=parts.settings.max_body_bytes,
    )
    audit = Audit(parts.documents, parts.clock, parts.randomness)
    grants = GrantRoutes(
        Office(parts.door, admins, audit),
        parts.overrides,
        parts.keys,
        parts.stored_keys.forget,
        parts.settings.max_body_bytes,
    )
    account = AccountRoutes(parts.door, Report(parts.limiter, parts.clock), admins)
    return [*account.routes(), *keys.routes(), *grants.routes()]
