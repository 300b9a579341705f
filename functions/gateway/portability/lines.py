"""The lines of an export of ours, read back: checked as a stranger's words, all bounded. Pure.

Fields that we do not know are left out, those that name an owner, a user or a tenant among them.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, get_args

from gateway.memory.growth import ROOT
from gateway.memory.records import State, made_at_milliseconds
from gateway.portability import facts
from gateway.portability.dates import moment
from gateway.portability.items import (
    DEFAULT_SESSION,
    SESSION_ID,
    Aside,
    End,
    Header,
    Item,
    Malformed,
    Said,
    Session,
    Skipped,
    check_nesting,
)

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
STATES = frozenset(get_args(State))
HASH = re.compile(r"[0-9a-v]{16}")
MAX_SEQUENCE = 1 << 48
MAX_METADATA, KEY_CHARACTERS, VALUE_CHARACTERS = 16, 64, 512
NAME_CHARACTERS = 512
SESSION_NAMES = ("session_id", "session", "thread_id", "conversation_id")
ASIDES = frozenset({"settings", "entity"})
OURS = frozenset({"export", "session", "message", "commit", "version", "end", *ASIDES})

Fields = Mapping[str, Any]


def item_of(fields: Fields, line: int) -> Item:
    """Raises `Malformed`. What has no type is a message where it has a role and a content."""
    kind = fields.get("type", "message" if "role" in fields else None)
    if not isinstance(kind, str):
        raise Malformed("It is no line of an export, no dialogue and no conversation.")
    if kind == "export":
        return Header(line, _text(fields, "owner_hash", "", NAME_CHARACTERS))
    if kind == "end":
        return End(line)
    if kind == "session":
        return _session(fields, line)
    if kind == "message":
        return _said(fields, line)
    if kind == "commit":
        return facts.commit_of(fields, line)
    if kind == "version":
        return facts.version_of(fields, line)
    if kind in ASIDES:
        return Aside(line)
    return Skipped(line)


def is_ours(fields: Fields) -> bool:
    kind = fields.get("type")
    return isinstance(kind, str) and kind in OURS


def _session(fields: Fields, line: int) -> Session:
    return Session(
        line=line,
        id=_checked_session(fields.get("id")),
        title=_text(fields, "title", "", NAME_CHARACTERS),
        created_at=moment(fields.get("created_at")) or 0.0,
        updated_at=moment(fields.get("updated_at")) or 0.0,
    )


def _said(fields: Fields, line: int) -> Said:
    role, state = fields.get("role"), fields.get("state", "active")
    if not isinstance(role, str) or role not in ROLES:
        raise Malformed(f"'role' is one of {', '.join(sorted(ROLES))}.")
    if not isinstance(state, str) or state not in STATES:
        raise Malformed(f"'state' is one of {', '.join(sorted(STATES))}.")
    archived = _switch(fields, "archived")
    id = fields.get("id")
    if not isinstance(id, str | None):
        raise Malformed("'id' is a string.")
    ours = id is not None and is_message_id(id)
    return Said(
        line=line,
        session=_session_of(fields, archived),
        role=role,
        content=_content(fields),
        name=f"line {line}" if id is None else f"id {id}",
        id=id if ours else None,
        at=moment(fields.get("at", fields.get("created_at"))),
        sequence=_sequence(fields.get("sequence")),
        parent=_parent(fields),
        state=state,  # type: ignore[arg-type]  # one of STATES
        interrupted=_switch(fields, "interrupted"),
        pin=_switch(fields, "pin"),
        expires_at=moment(fields.get("expires_at")),
        metadata=_metadata(fields),
        extras=_extras(fields.get("extras")),
        receipt=_receipt(fields.get("receipt")),
        hash=_hash(fields.get("hash")),
        archived=archived,
    )


def is_message_id(id: str) -> bool:
    return id.startswith("m") and made_at_milliseconds(id) is not None


def _session_of(fields: Fields, archived: bool) -> str | None:
    """A session that was deleted has no name left, and what is archived of it gets none."""
    named = [fields[name] for name in SESSION_NAMES if fields.get(name) is not None]
    if named:
        return _checked_session(named[0])
    return None if archived else DEFAULT_SESSION


def _checked_session(given: object) -> str:
    if isinstance(given, str) and SESSION_ID.fullmatch(given):
        return given
    raise Malformed("A session id is 1 to 200 printable ASCII characters without spaces.")


def _content(fields: Fields) -> str:
    content = fields.get("content")
    if content is None and fields.get("extras"):
        return ""
    if not isinstance(content, str):
        raise Malformed("'content' is a string.")
    return content


def _parent(fields: Fields) -> str | None:
    parent = fields.get("parent")
    if parent is None:
        return ROOT if "parent" in fields and fields.get("sequence") else None
    if not isinstance(parent, str) or not is_message_id(parent):
        raise Malformed("'parent' is the id of a message.")
    return parent


def _sequence(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SEQUENCE:
        raise Malformed(f"'sequence' is a number from 0 to {MAX_SEQUENCE}.")
    return value


def _metadata(fields: Fields) -> Fields:
    """As of `POST /v1/messages`; `importance_override` may stand beside it too."""
    found = fields.get("metadata")
    found = {} if found is None else found
    if not isinstance(found, dict) or len(found) > MAX_METADATA:
        raise Malformed(f"'metadata' is an object of at most {MAX_METADATA} values.")
    for name, value in found.items():
        if not isinstance(value, str | int | float | bool | None):
            raise Malformed("A value of 'metadata' is a string, a number, a boolean or null.")
        if len(name) > KEY_CHARACTERS or (isinstance(value, str) and len(value) > VALUE_CHARACTERS):
            raise Malformed("A name or a value of 'metadata' is too long.")
        if isinstance(value, float) and not isfinite(value):
            raise Malformed("A number of 'metadata' is out of bounds.")
    override = fields.get("importance_override")
    if override is None:
        return found
    numeric = isinstance(override, int | float) and not isinstance(override, bool)
    if not numeric or not 0 <= override <= 1:
        raise Malformed("'importance_override' is a number from 0 to 1.")
    return {**found, "importance_override": override}


def _extras(value: object) -> Fields:
    """Of a shape that sending them again relies on."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed("'extras' is an object.")
    check_nesting(value)
    kept: dict[str, Any] = {}
    for name in ("name", "tool_call_id"):
        if value.get(name):
            kept[name] = value[name]
            if not isinstance(value[name], str | int | float):
                raise Malformed(f"'extras.{name}' is a string.")
    if calls := value.get("tool_calls"):
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise Malformed("'extras.tool_calls' is an array of objects.")
        kept["tool_calls"] = calls
    if call := value.get("function_call"):
        kept["function_call"] = call
    if media := value.get("media"):
        kept["media"] = _media(media)
    return kept


def _media(value: object) -> list[Fields]:
    if not isinstance(value, list):
        raise Malformed("'extras.media' is an array.")
    for medium in value:
        shape = {"type": str, "digest": str, "bytes": int}
        if not isinstance(medium, dict) or not all(
            isinstance(medium.get(name), kind) for name, kind in shape.items()
        ):
            raise Malformed("An 'extras.media' has a type, a digest and bytes.")
    return [{name: medium[name] for name in ("type", "digest", "bytes")} for medium in value]


def _receipt(value: object) -> Fields | None:
    """Of a shape that retention and segments rely on."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Malformed("'receipt' is an object.")
    check_nesting(value)
    id, lines, at = value.get("id"), value.get("lines"), value.get("created_at")
    if not isinstance(id, str) or not id.startswith("r") or made_at_milliseconds(id) is None:
        raise Malformed("'receipt.id' is the id of a receipt.")
    if not isinstance(lines, list) or not all(
        isinstance(line, dict) and isinstance(line.get("id"), str) for line in lines
    ):
        raise Malformed("'receipt.lines' is an array of objects with ids.")
    if not isinstance(at, int | float) or isinstance(at, bool) or not isfinite(at):
        raise Malformed("'receipt.created_at' is a number.")
    return value


def _hash(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise Malformed("'hash' is sixteen letters and digits.")
    return value


def _switch(fields: Fields, name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise Malformed(f"'{name}' is true or false.")
    return value


def _text(fields: Fields, name: str, otherwise: str, longest: int) -> str:
    value = fields.get(name, otherwise)
    if not isinstance(value, str) or len(value) > longest:
        raise Malformed(f"'{name}' is a string of at most {longest} characters.")
    return value
