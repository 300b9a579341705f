"""Who may administer the service: exact subjects, named by configuration alone.

No role of a workspace makes an admin, and no act of an admin makes another one.
"""

import hashlib
import hmac
from collections.abc import Collection
from typing import Protocol

from gateway.errors import Forbidden

SCOPE = "admin"


class Caller(Protocol):
    """`scopes` are what the credential is good for."""

    @property
    def subject(self) -> str: ...

    @property
    def scopes(self) -> Collection[str]: ...


class Admins:
    """`subjects` are `google:<sub>` and `key:<name>`, compared whole, with their letters' case."""

    def __init__(self, subjects: frozenset[str]) -> None:
        self._digests = tuple(map(_digest, sorted(subjects)))

    def is_admin(self, caller: Caller) -> bool:
        """An admin with a credential of the scope. A key made for less is no admin's key."""
        return self._named(caller.subject) and SCOPE in caller.scopes

    def require(self, caller: Caller) -> None:
        """Raises `Forbidden`, in the same words whatever was asked for."""
        if not self.is_admin(caller):
            raise Forbidden("This is for the admins of the service.", code="admin_required")

    def _named(self, subject: str) -> bool:
        """Compares with all of them: the time tells neither which one matched nor how far."""
        digest, found = _digest(subject), False
        for one in self._digests:
            found |= hmac.compare_digest(one, digest)
        return found


def _digest(subject: str) -> bytes:
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()
