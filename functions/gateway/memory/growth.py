"""How a session's head grows by an addition: sequence, parents, branches, the log. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.documents.base import Write
from gateway.errors import TooLarge
from gateway.memory import segments as packing
from gateway.memory.alignment import Entry
from gateway.memory.heads import TITLE_CHARACTERS, Head, Owner
from gateway.memory.records import Record, State

ROOT = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one batched read brings: the owner's document and the session's head."""

    owner: Owner
    head: Head


@dataclass(frozen=True, slots=True)
class Addition:
    """What one append brings. Records come without sequence; a parent of None means the last one,
    `ROOT` that there is none.

    `unstored` ids enter the log of hashes but not the memory (the preview's answers). `beside` are
    writes of other rooms that belong to the same commit.
    """

    key: str
    records: Sequence[Record] = ()
    unstored: frozenset[str] = frozenset()
    states: Mapping[str, State] = field(default_factory=dict)
    block: Mapping[str, str] | None = None
    usage: Mapping[str, Any] | None = None
    fingerprint: str | None = None
    beside: Sequence[Write] = ()


Compose = Callable[[Head], Addition]


def grown(loaded: Loaded, addition: Addition, now: float) -> Head:
    """The head with the addition's messages at its end, sequence and parents filled in.

    The sequence is a Lamport clock over what this turn has read of the owner: later than all of it,
    whatever the clocks of two instances say, and no write of its own.
    """
    head = loaded.head
    records = _placed(loaded, addition)
    stored = [record for record in records if record.id not in addition.unstored]
    tail = packing.with_states(head.tail, addition.states) or list(head.tail)
    log = _with_entries(head.log, records, addition)
    before = {entry.id: entry for entry in head.log}
    restated = sum(
        before[id].tokens * (int(state == "active") - int(before[id].active))
        for id, state in addition.states.items()
        if id in before
    )
    added = sum(record.tokens for record in stored if record.state == "active")
    return replace(
        head,
        title=head.title or title_of(stored),
        created_at=head.created_at or now,
        updated_at=now,
        messages=head.messages + len(stored),
        turns=head.turns + sum(record.role == "user" for record in stored),
        tokens=max(0, head.tokens + added + restated),
        sequence=max((record.sequence for record in records), default=head.sequence),
        open=True,
        fingerprint=addition.fingerprint or head.fingerprint,
        requests=[*head.requests, addition.key],
        log=log,
        tail=in_order([*tail, *stored], log),
        block=head.block if addition.block is None else addition.block,
        usage=head.usage if addition.usage is None else addition.usage,
    )


def amended(head: Head, before: Record, after: Record | None) -> Head:
    """The head after one message of its session was edited, or deleted where `after` is None.

    Its line stays in the log, so that a resent history still aligns; a deleted one weighs nothing.
    The title follows the message that it was taken from.
    """
    tokens = after.tokens if after else 0
    weight = tokens - before.tokens if before.state == "active" else 0
    beside = [after if record.id == before.id else record for record in head.tail]
    return replace(
        unquoted(head, before, asked=after is None),
        title=title_of([after] if after else [])
        if head.title == title_of([before])
        else head.title,
        messages=max(0, head.messages - (after is None)),
        turns=max(0, head.turns - (after is None and before.role == "user")),
        tokens=max(0, head.tokens + weight),
        log=[replace(one, tokens=tokens) if one.id == before.id else one for one in head.log],
        tail=[record for record in beside if record is not None],
    )


def unquoted(head: Head, record: Record, *, asked: bool = False) -> Head:
    """The head without a memory block that quotes `record` or, with `asked`, was made for it."""
    quoted = record.id in head.block.get("text", "")
    made_for = asked and head.block.get("for") == record.hash
    return replace(head, block={}) if quoted or made_for else head


def _placed(loaded: Loaded, addition: Addition) -> list[Record]:
    head = loaded.head
    sequence = max(head.sequence, loaded.owner.sequence)
    last = next((one.id for one in reversed(_restate(head.log, addition)) if one.active), None)
    placed = []
    for record in addition.records:
        if packing.size(record) > packing.MESSAGE_BYTES:
            raise TooLarge(
                f"A message may take {packing.MESSAGE_BYTES // 1024} KiB to be remembered;"
                " send it with `X-Memory: off` or in parts.",
                code="message_too_large",
            )
        sequence += 1
        parent = last if record.parent is None else record.parent or None
        placed.append(replace(record, sequence=sequence, parent=parent, session=head.key))
        if record.state == "active" and record.parent is None:
            last = record.id
    return placed


def _with_entries(
    log: Sequence[Entry], records: Sequence[Record], addition: Addition
) -> list[Entry]:
    """The log with changed states and the new messages, each after the parent it names."""
    entries = _restate(log, addition)
    named = {record.id for record in addition.records if record.parent is not None}
    for record in records:
        tokens = 0 if record.id in addition.unstored else record.tokens
        entry = Entry(record.hash, record.id, record.role, record.state == "active", tokens)
        place = place_after(entries, record.parent) if record.id in named else len(entries)
        entries.insert(place, entry)
    return entries


def _restate(log: Sequence[Entry], addition: Addition) -> list[Entry]:
    if not addition.states:
        return list(log)
    return [
        replace(entry, active=addition.states[entry.id] == "active")
        if entry.id in addition.states
        else entry
        for entry in log
    ]


def in_order(tail: Sequence[Record], log: Sequence[Entry]) -> list[Record]:
    """The tail in the log's order, where an edited message stands in the place of the old one."""
    places = {entry.id: i for i, entry in enumerate(log)}
    return sorted(tail, key=lambda record: places.get(record.id, -1))  # -1: older than the log


def place_after(entries: Sequence[Entry], parent: str | None) -> int:
    following = (i + 1 for i, entry in enumerate(entries) if entry.id == parent)
    return next(following, len(entries)) if parent else 0


def title_of(records: Sequence[Record]) -> str:
    first = next((record.content for record in records if record.role == "user"), "")
    return " ".join(first.split())[:TITLE_CHARACTERS]
