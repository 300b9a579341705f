"""An API key made through the API: whose it is, what it may, until when. Pure.

The key itself, 32 random bytes behind `mk_`, is shown once. What is kept is its SHA-256: of so
many random bytes that needs no salt and no slow hash, for there is nothing to guess from.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.workspace import digest
from gateway.documents.base import Document, Version
from gateway.errors import NotFound

Scope = Literal["chat", "memory:read", "memory:write", "admin"]
SCOPES: tuple[Scope, ...] = ("chat", "memory:read", "memory:write", "admin")
ALL_SCOPES: frozenset[Scope] = frozenset(SCOPES)

SCHEMA = 1
PREFIX = "mk_"
SECRET_BYTES = 32
SECRET = re.compile(r"mk_[A-Za-z0-9_-]{43}")
KEY_ID = re.compile(r"key_[a-z2-7]{26}")
SHOWN_CHARACTERS = 8
KEPT_DAYS = 30  # in the list, after its end
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Key:
    """`digest` is the name of its document; times are epoch seconds.

    It acts in the name of `subject`, in `workspace` and in no other. `created_by` is the key that
    made it, None where a person did. `last_used_at` may be an hour behind.
    """

    digest: str
    name: str
    prefix: str
    subject: str
    workspace: str
    scopes: frozenset[Scope]
    created_at: float
    valid_until: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    created_by: str | None = None
    allowance: Allowance = NOTHING_SAID
    version: Version | None = None

    @property
    def id(self) -> str:
        return id_of(self.digest)

    @property
    def path(self) -> str:
        return key_path(self.digest)

    @property
    def listed_until(self) -> float | None:
        """None for a key that has no end yet."""
        ends = [end for end in (self.valid_until, self.revoked_at) if end is not None]
        return min(ends) + KEPT_DAYS * DAY_SECONDS if ends else None

    def good(self, now: float) -> bool:
        expired = self.valid_until is not None and self.valid_until <= now
        return self.revoked_at is None and not expired

    def listed(self, now: float) -> bool:
        return self.listed_until is None or now < self.listed_until

    def packed(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "prefix": self.prefix,
            "subject": self.subject,
            "workspace": self.workspace,
            "scopes": " ".join(scope for scope in SCOPES if scope in self.scopes),
            "created_at": self.created_at,
            "valid_until": self.valid_until,
            "revoked_at": self.revoked_at,
            "last_used_at": self.last_used_at,
            "created_by": self.created_by,
            "allowance": orjson.dumps(self.allowance.packed()).decode(),
        }

    @staticmethod
    def of(document: Document) -> "Key":
        fields = document.fields
        granted = fields["scopes"].split()
        return Key(
            digest=document.id,
            name=fields["name"],
            prefix=fields["prefix"],
            subject=fields["subject"],
            workspace=fields["workspace"],
            scopes=frozenset(scope for scope in SCOPES if scope in granted),
            created_at=fields["created_at"],
            valid_until=fields["valid_until"],
            revoked_at=fields["revoked_at"],
            last_used_at=fields["last_used_at"],
            created_by=fields["created_by"],
            allowance=Allowance.of(orjson.loads(fields["allowance"])),
            version=document.version,
        )


def secret_of(random: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")


def digest_of(secret: str) -> str:
    """SHA-256 in base32, as all names here are."""
    return digest(secret)


def id_of(digest: str) -> str:
    """What the key is called in public: 130 bits of its digest."""
    return f"key_{digest[:26]}"


def key_path(digest: str) -> str:
    return f"keys/{digest}"


def pointers(subject: str) -> str:
    """The collection of pointers to the keys of one person; ids are the keys'."""
    return f"members/{digest(subject)}/keys"


def missing() -> NotFound:
    return NotFound("No such key.", code="key_not_found")
