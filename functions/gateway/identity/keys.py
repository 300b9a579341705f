"""API keys given by configuration. Kept as digests, so that no later line can print one.

The name is the owner: two keys under one name are a rotation, and both reach the same memory. A
name that ends in `@` and a workspace's id makes a key for that workspace alone: its owner adds
`key:<name>` as a member, and the client need not know of workspaces.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.accounts.workspace import PERSONAL, WORKSPACE_ID, owner_of
from gateway.errors import Unauthenticated
from gateway.identity.base import Identity

DERIVED_NAME_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ApiKey:
    name: str
    digest: bytes
    workspace: str = PERSONAL

    @property
    def identity(self) -> Identity:
        subject = f"key:{self.name}"
        if self.workspace == PERSONAL:
            return Identity(subject, owner=subject)
        return Identity(subject, owner_of(self.workspace), self.workspace)


class KeyVerifier:
    """Claims only the keys it knows, so that it can be asked first: a key may look like a JWT."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    def claims(self, credential: str) -> bool:
        return self._key(credential) is not None

    async def verify(self, credential: str) -> Identity:
        key = self._key(credential)
        if key is None:
            raise Unauthenticated("Incorrect API key provided.")
        return key.identity

    def _key(self, credential: str) -> ApiKey | None:
        digest = _digest(credential)
        found = None
        for key in self._keys:  # all of them: the time must not tell which one matched
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Keys from `name:key` or bare keys, separated by commas; a key may hold further colons.

    A bare key is named by the beginning of its digest. Raises ValueError, which tells the entry's
    place and never its text.
    """
    entries = enumerate(text.split(","), start=1)
    keys = tuple(_parse_entry(entry.strip(), place) for place, entry in entries if entry.strip())
    if len({key.digest for key in keys}) != len(keys):
        raise ValueError("the same API key is given twice: whose it is would be a guess")
    return keys


def _parse_entry(entry: str, place: int) -> ApiKey:
    name, colon, key = (part.strip() for part in entry.partition(":"))
    if not colon:
        name, key = "", entry
    if not key or (colon and not name):
        raise ValueError(f"API key {place} has an empty name or key")
    if not name.isprintable() or not _can_be_a_header(key):
        raise ValueError(f"API key {place} holds characters that no header can carry")
    digest = _digest(key)
    name, workspace = _of_workspace(name)
    return ApiKey(name or digest.hex()[:DERIVED_NAME_CHARACTERS], digest, workspace)


def _of_workspace(name: str) -> tuple[str, str]:
    """The name without the workspace that it may end in; an e-mail address stays one."""
    before, at, workspace = name.rpartition("@")
    if at and WORKSPACE_ID.fullmatch(workspace):
        return before.strip(), workspace
    return name, PERSONAL


def _can_be_a_header(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
