"""Dialogues as data sets of long conversations have them (LoCoMo): who said what, when. Pure.

Three shapes are read: a session with its messages (`messages`, `turns`, `dialogue`), a list of such
under `sessions`, and LoCoMo's own with `session_1` and `session_1_date_time` side by side. Whoever
speaks first is the user where no role is given; the speaker's name is kept in the metadata.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.memory.records import INSTANT_SECONDS
from gateway.portability.dates import moment
from gateway.portability.items import Item, Malformed, Refused, Said, Session, session_name

TURNS = ("messages", "turns", "dialogue", "dialog")
DATES = ("date", "date_time", "at", "timestamp", "created_at", "session_date")
NAMES = ("session_id", "id", "sample_id")
ROLES = frozenset({"user", "assistant", "system", "tool"})
NUMBERED = re.compile(r"session_(\d{1,6})")
SPEAKER_CHARACTERS = 512

Fields = Mapping[str, Any]


def is_dialogue(fields: Fields) -> bool:
    return _turns(fields) is not None or _within(fields) is not None


def items_of(fields: Fields, line: int) -> Iterator[Item]:
    """All of a dialogue carries the line that it begins on."""
    yield from _session_items(fields, line, _first(fields, NAMES), f"line {line}", None)


def _session_items(
    fields: Fields, line: int, name: object, otherwise: str, user: str | None
) -> Iterator[Item]:
    sessions = _within(fields)
    if sessions is None:
        yield from _messages(fields, line, session_name(name, otherwise), user)
        return
    prefix = name if isinstance(name, str) and name else otherwise
    user = user or _speaker(fields.get("speaker_a")) or _speaker(_inner(fields).get("speaker_a"))
    for number, session in sessions:
        if isinstance(session, dict) and _turns(session) is not None:
            own = _first(session, NAMES) or f"{prefix}-session-{number}"
            yield from _messages(session, line, session_name(own, otherwise), user)
        else:
            yield Refused(line, f"Session {number} of the dialogue has no messages.")


def _within(fields: Fields) -> list[tuple[int, Any]] | None:
    """The sessions inside, numbered; None where the object is a session itself."""
    if isinstance(listed := fields.get("sessions"), list):
        return list(enumerate(listed, start=1))
    inner = _inner(fields)
    found = []
    for key, turns in inner.items():
        if (numbered := NUMBERED.fullmatch(key)) and isinstance(turns, list):
            session = {"turns": turns, "date": inner.get(f"{key}_date_time")}
            found.append((int(numbered[1]), session))
    return sorted(found, key=lambda one: one[0]) or None


def _inner(fields: Fields) -> Fields:
    inner = fields.get("conversation")
    return inner if isinstance(inner, dict) else fields


def _messages(fields: Fields, line: int, session: str, user: str | None) -> Iterator[Item]:
    began, problem = _moment(_first(fields, DATES))
    if problem:
        yield Refused(line, problem)
        return
    yield Session(line, session, created_at=began or 0.0, updated_at=began or 0.0)
    for place, turn in enumerate(_turns(fields) or ()):
        if not isinstance(turn, dict):
            yield Refused(line, f"Message {place + 1} of the dialogue is no object.")
            continue
        user = user or _speaker(turn.get("speaker"))
        yield _said(turn, line, session, place, began, user)


def _said(
    turn: Fields, line: int, session: str, place: int, began: float | None, user: str | None
) -> Item:
    text, speaker = turn.get("text", turn.get("content")), _speaker(turn.get("speaker"))
    if not isinstance(text, str) or not text.strip():
        return Refused(line, f"Message {place + 1} of the dialogue has no text.")
    at, problem = _moment(_first(turn, DATES))
    role = turn.get("role", "user" if speaker == user else "assistant")
    if problem or not isinstance(role, str) or role not in ROLES:
        return Refused(line, f"Message {place + 1} of the dialogue: {problem or 'unknown role.'}")
    source = turn.get("dia_id") or turn.get("id")
    if at is None or at == began:
        at = None if began is None else began + place * INSTANT_SECONDS
    return Said(
        line=line,
        session=session,
        role=role,
        content=text,
        name=f"turn {source}" if isinstance(source, str) else f"place {place}",
        at=at,
        metadata={"speaker": speaker} if speaker else {},
    )


def _moment(value: object) -> tuple[float | None, str]:
    try:
        return moment(value), ""
    except Malformed as error:
        return None, str(error)


def _turns(fields: Fields) -> Sequence[Any] | None:
    return next((fields[name] for name in TURNS if isinstance(fields.get(name), list)), None)


def _first(fields: Fields, names: Sequence[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _speaker(value: object) -> str:
    return value[:SPEAKER_CHARACTERS] if isinstance(value, str) else ""
