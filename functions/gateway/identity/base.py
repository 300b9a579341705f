"""Who is calling: the identity every other room relies on, and the way to one from a credential."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.accounts.flags import Flags
from gateway.accounts.key import ALL_SCOPES, Key, Scope
from gateway.accounts.workspace import PERSONAL, Role, digest, missing, owner_of
from gateway.accounts.workspaces import Workspaces
from gateway.errors import Forbidden, Unauthenticated


@dataclass(frozen=True, slots=True)
class Identity:
    """`subject` (`google:<sub>`, `key:<name>`) is what limits count, `owner` whose memory it is.

    `workspace` is the id of the shared workspace that this memory is of. `scopes` are what the
    credential is good for; `key` is the one that was made through the API, if it is one of those.
    """

    subject: str
    owner: str
    workspace: str = PERSONAL
    scopes: frozenset[Scope] = ALL_SCOPES
    key: Key | None = None

    @property
    def bound(self) -> bool:
        """To the workspace of its credential, and to no other."""
        return self.key is not None or self.workspace != PERSONAL

    def own_key(self, idempotency_key: str | None) -> str | None:
        """The key as this caller's alone: in a shared memory two members may choose the same."""
        if idempotency_key is None or self.workspace == PERSONAL:
            return idempotency_key
        return digest(f"{self.subject}\n{idempotency_key}")


class Verifier(Protocol):
    def claims(self, credential: str) -> bool:
        """Whether this verifier is the one to judge `credential`."""

    async def verify(self, credential: str) -> Identity:
        """The identity behind `credential`.

        Raises `Unauthenticated` when it is not good, `Unavailable` when that cannot be known now.
        """


class Authenticator:
    """Asks the verifiers in order; the first that claims a credential decides."""

    def __init__(self, verifiers: Sequence[Verifier], workspaces: Workspaces, flags: Flags) -> None:
        self._verifiers = verifiers
        self._workspaces = workspaces
        self._flags = flags

    async def identify(self, authorization: str | None, api_key: str | None) -> Identity:
        credential = api_key or _bearer(authorization)
        if not credential:
            raise Unauthenticated(
                "No credential: send `Authorization: Bearer <Google ID token or API key>`"
                " or `X-API-Key`."
            )
        for verifier in self._verifiers:
            if verifier.claims(credential):
                return await verifier.verify(credential)
        raise Unauthenticated("Incorrect API key or ID token provided.")

    async def enter(self, identity: Identity, workspace: str | None, needs: Role) -> Identity:
        """The identity at the workspace it asks for, or at its credential's own for None.

        Reads a document for a shared one, none for the person's. Raises `NotFound` for one that is
        not the caller's, or not the one that its key is for; `Forbidden` where its role is less
        than `needs`.
        """
        wanted = workspace or identity.workspace
        if wanted == identity.owner:
            wanted = identity.workspace
        if identity.bound and wanted != identity.workspace:
            raise missing()
        if wanted == PERSONAL:
            return identity
        await self._workspaces.find(wanted, identity.subject, needs)
        return replace(identity, owner=owner_of(wanted), workspace=wanted)

    async def let_store(self, identity: Identity) -> None:
        """Raises `Forbidden` where this memory is switched off."""
        if not await self._flags.enabled("ENABLE_CONTEXT_MEMORY", identity.owner):
            raise Forbidden("This memory is switched off.", code="memory_disabled")


def _bearer(authorization: str | None) -> str | None:
    scheme, _, credential = (authorization or "").strip().partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None
