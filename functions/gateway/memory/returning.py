"""How messages that have a place of their own return to a session's head. Pure.

Unlike what an append brings (`growth.py`), they may be older than what the session holds: then they
go to the owner's segments, and the head counts and lists them all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.memory import fingerprints
from gateway.memory.alignment import Entry
from gateway.memory.growth import ROOT, in_order, place_after, title_of
from gateway.memory.heads import LOG_ENTRIES, TITLE_CHARACTERS, Head
from gateway.memory.records import Record


@dataclass(frozen=True, slots=True)
class Returning:
    """A message as the file has it. A sequence of 0 means: after all that is there; a parent of
    None the message before, `ROOT` none. `session` None: what is archived of a nameless one."""

    record: Record
    session: str | None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says of a session itself; it counts where the session is new."""

    session: str
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Returned:
    """The head after, its tail not yet cut; `older` belong into segments."""

    head: Head
    older: list[Record]


def numbered(given: Sequence[Returning], last: int) -> list[Returning]:
    """With sequences, those that have none after `last` and after all that have one."""
    last = max([last, *(one.record.sequence for one in given)])
    found = []
    for one in given:
        if not one.record.sequence and not one.archived:
            last += 1
            one = replace(one, record=replace(one.record, sequence=last))
        found.append(one)
    return found


def returned(
    head: Head, facts: Facts | None, records: Sequence[Record], owner: str, *, opened: bool
) -> Returned:
    """`opened`: the session has a tail, or there is room for one."""
    ordered = sorted(records, key=lambda one: one.sequence)
    placed, log = _placed(head, ordered)
    newer = [one for one in placed if opened and one.sequence > head.sequence]
    known = {one.id for one in newer}
    older = [one for one in placed if one.id not in known]
    told = facts or Facts(head.session)
    moments = [one.at for one in placed] or [0.0]
    latest = [one.at for one in ordered if one.parent is None]
    grown = replace(
        head,
        title=head.title or told.title[:TITLE_CHARACTERS] or title_of(placed),
        created_at=head.created_at or told.created_at or min(moments),
        updated_at=max([head.updated_at or told.updated_at or max(moments), *latest]),
        messages=head.messages + len(placed),
        turns=head.turns + sum(one.role == "user" for one in placed),
        tokens=head.tokens + sum(one.tokens for one in placed if one.state == "active"),
        sequence=max([head.sequence, *(one.sequence for one in placed)]),
        open=head.open or bool(newer),
        fingerprint=head.fingerprint or _fingerprint(owner, placed),
        log=log[-LOG_ENTRIES:],
        tail=in_order([*head.tail, *newer], log) if newer else head.tail,
    )
    return Returned(grown, older)


def _placed(head: Head, records: Sequence[Record]) -> tuple[list[Record], list[Entry]]:
    """The records with the head's session and their parents, and the log with their lines.

    A line that stayed behind a deleted message takes it back. One whose parent the log has no
    longer is older than the log reaches.
    """
    log, found = list(head.log), []
    known = {entry.id for entry in log}
    last = next((one.id for one in reversed(log) if one.active), None)
    for record in records:
        entry = Entry(record.hash, record.id, record.role, record.state == "active", record.tokens)
        if record.id in known:
            log = [entry if one.id == record.id else one for one in log]
        elif (place := _place(log, record, head.sequence)) is not None:
            log.insert(place, entry)
            known.add(record.id)
        parent = last if record.parent is None else record.parent or None
        if record.state == "active" and record.parent is None:
            last = record.id
        found.append(replace(record, session=head.key, parent=parent))
    return found, log


def _place(log: Sequence[Entry], record: Record, last_sequence: int) -> int | None:
    if record.parent is None or not log:
        return len(log)
    if record.parent == log[-1].id:
        return len(log)
    known = record.parent == ROOT or any(entry.id == record.parent for entry in log)
    if known:
        return place_after(log, record.parent)
    return len(log) if record.sequence > last_sequence else None


def _fingerprint(owner: str, records: Sequence[Record]) -> str | None:
    """Of the session's beginning, where the question and its answer are both here."""
    active = [one for one in records if one.state == "active"]
    for question in active:
        if question.role == "user" and question.parent is None:
            answer = next((one for one in active if one.parent == question.id), None)
            if answer and answer.role == "assistant":
                return fingerprints.fingerprint(owner, question.hash, answer.hash)
    return None
