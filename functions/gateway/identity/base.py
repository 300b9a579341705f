"""Who is calling: the identity every other room relies on, and the way to one from a credential."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Identity:
    """`subject` (`google:<sub>`, `key:<name>`) is what limits count, `owner` whose memory it is."""

    subject: str
    owner: str


class Verifier(Protocol):
    def claims(self, credential: str) -> bool:
        """Whether this verifier is the one to judge `credential`."""

    async def verify(self, credential: str) -> Identity:
        """The identity behind `credential`.

        Raises `Unauthenticated` when it is not good, `Unavailable` when that cannot be known now.
        """


class Authenticator:
    """Asks the verifiers in order; the first that claims a credential decides."""

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self._verifiers = verifiers

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


def _bearer(authorization: str | None) -> str | None:
    scheme, _, credential = (authorization or "").strip().partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None
