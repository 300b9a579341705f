"""A shared workspace: its members, and what each of them may do there. Pure.

Its memory lies under an owner id of its own, which no person's can equal: theirs begin otherwise.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from gateway.documents.base import Document, Version
from gateway.errors import BadRequest, Contested, NotFound

SCHEMA = 1
PERSONAL = "personal"
WORKSPACE_ID = re.compile(r"ws_[a-z2-7]{26}")
MOST_MEMBERS = 200

Role = Literal["reader", "writer", "owner"]
ROLES: tuple[Role, ...] = ("reader", "writer", "owner")
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """`members` are roles by subject. `version` is None until it is stored."""

    id: str
    name: str
    created_at: float
    members: Mapping[str, Role]
    version: Version | None = None

    def role(self, subject: str) -> Role:
        """Raises `NotFound`: to a stranger it is not there."""
        if subject not in self.members:
            raise missing()
        return self.members[subject]

    def with_member(self, subject: str, role: Role) -> "Workspace":
        """Raises `BadRequest` when it is full, `Contested` when no owner would be left."""
        if subject not in self.members and len(self.members) >= MOST_MEMBERS:
            raise BadRequest(
                f"A workspace takes {MOST_MEMBERS} members.", code="workspace_full", param="member"
            )
        return replace(self, members={**self.members, subject: role})._owned()

    def without(self, subject: str) -> "Workspace":
        """Raises `NotFound` for who is no member, `Contested` when no owner would be left."""
        if subject not in self.members:
            raise NotFound("No such member.", code="member_not_found")
        left = {one: role for one, role in self.members.items() if one != subject}
        return replace(self, members=left)._owned()

    def _owned(self) -> "Workspace":
        if "owner" not in self.members.values():
            raise Contested("A workspace keeps an owner: name another first.", code="last_owner")
        return self

    def packed(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "created_at": self.created_at,
            "members": orjson.dumps(dict(self.members)).decode(),
        }

    @staticmethod
    def of(document: Document) -> "Workspace":
        return Workspace(
            id=document.id,
            name=document.fields["name"],
            created_at=document.fields["created_at"],
            members=orjson.loads(document.fields["members"]),
            version=document.version,
        )


def allows(role: Role, needs: Role) -> bool:
    return ROLES.index(role) >= ROLES.index(needs)


def owner_of(workspace: str) -> str:
    """Whose memory a shared workspace's is."""
    return f"workspace:{workspace}"


def workspace_path(id: str) -> str:
    return f"workspaces/{id}"


def memberships(subject: str) -> str:
    """The collection of pointers to the workspaces of one person; ids are the workspaces'."""
    return f"members/{digest(subject)}/workspaces"


def digest(text: str) -> str:
    hashed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(hashed).decode().rstrip("=").lower()


def missing() -> NotFound:
    return NotFound("No such workspace.", code="workspace_not_found")
