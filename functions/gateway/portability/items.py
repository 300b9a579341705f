"""What a file that is imported says, whatever its format: sessions, messages, refusals. Pure.

Whose memory they become is never the file's to say: owners, users and tenants it names are not
even read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.entities.commits import Commit
from gateway.entities.returning import Returning
from gateway.memory.records import State, session_key

SESSION_ID = re.compile(r"[!-~]{1,200}")
DEFAULT_SESSION = "imported"
MAX_NESTING = 128  # of what is kept as it came; orjson writes 254 levels


@dataclass(frozen=True, slots=True)
class Header:
    """An export of ours begins; `owner_hash` tells whether hashes in it are the caller's own."""

    line: int
    owner_hash: str


@dataclass(frozen=True, slots=True)
class Session:
    line: int
    id: str
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `session` None is one that has no name any more; only archived ones may be so.

    Where it has no id of ours, `name` tells it from what is said in the same words; a `sequence` of
    0 means: after all that is there. `parent` as in `growth.Addition`: None is the message before.
    """

    line: int
    session: str | None
    role: str
    content: str
    name: str = ""
    id: str | None = None
    at: float | None = None
    sequence: int = 0
    parent: str | None = None
    state: State = "active"
    interrupted: bool = False
    pin: bool = False
    expires_at: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    receipt: Mapping[str, Any] | None = None
    hash: str | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    line: int
    message: str
    code: str = "invalid_line"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Understood, and nothing that a memory of messages keeps."""

    line: int


@dataclass(frozen=True, slots=True)
class End:
    """An export of ours is whole."""

    line: int


@dataclass(frozen=True, slots=True)
class Aside:
    """For a reader of the export: other lines say it too, or it is not the file's to set."""

    line: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an entity; all of one come in their order."""

    line: int
    returning: Returning


@dataclass(frozen=True, slots=True)
class Committed:
    """A line of the log of commits; it comes before the versions that it tells of."""

    line: int
    commit: Commit


Item = Header | Session | Said | Refused | Skipped | End | Aside | Version | Committed


class Malformed(ValueError):
    """Its text is told to the caller: it holds nothing of what was sent."""


def session_name(given: object, otherwise: str) -> str:
    """The file's name of a session where it can be one of ours; a digest of it where it cannot."""
    text = given if isinstance(given, str) and given else otherwise
    return text if SESSION_ID.fullmatch(text) else f"imported-{session_key(text)}"


def check_nesting(value: Any) -> None:
    """Raises `Malformed`: what is read is to be written again."""
    level = [value]
    for _ in range(MAX_NESTING):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for values in inside for one in values if isinstance(one, dict | list)]
        if not level:
            return
    raise Malformed(f"It nests more than {MAX_NESTING} levels deep.")
