"""An owner's document and a session's head: what they hold and how they pack. Pure.

Both are read on every turn, so everything else a turn needs is inside them: the manifest of
segments in the owner, the recent messages and the log of hashes in the head. The big parts are
packed as JSON text: one field that no index touches, cheaper to decode than nested maps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from gateway.documents.base import Document, Version
from gateway.errors import Contested
from gateway.memory import manifest, upgrades
from gateway.memory.alignment import Entry
from gateway.memory.records import Record, session_key
from gateway.memory.segments import Segment
from gateway.memory.upgrades import SCHEMA as SCHEMA

LOG_ENTRIES = 512
APPEND_KEYS = 256
TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Owner:
    """`open` lists the sessions that keep a tail, the least recently opened first.

    `epoch` counts erasures: a turn begun before one may not be stored after it. While `erasing`,
    nothing is read or stored. Under `hold` the retention leaves everything as it is.
    """

    sequence: int = 0
    sessions: int = 0
    epoch: int = 0
    erasing: bool = False
    hold: bool = False
    open: Sequence[str] = ()
    segments: Sequence[Segment] = ()
    version: Version | None = None

    def packed(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "sequence": self.sequence,
            "sessions": self.sessions,
            "epoch": self.epoch,
            "erasing": self.erasing,
            "hold": self.hold,
            "open": list(self.open),
            **manifest.packed(self.segments),
        }

    @staticmethod
    def of(document: Document | None) -> "Owner":
        if document is None:
            return Owner()
        fields = upgrades.current(document, "owner")
        return Owner(
            sequence=fields["sequence"],
            sessions=fields["sessions"],
            epoch=fields["epoch"],
            erasing=fields["erasing"],
            hold=fields["hold"],
            open=tuple(fields["open"]),
            segments=manifest.unpacked(fields),
            version=document.version,
        )

    def readable(self) -> "Owner":
        """Itself. Raises `Contested` while the memory is being erased."""
        if self.erasing:
            raise Contested(
                "The memory is being erased.", code="memory_erasing", retry_after_seconds=2
            )
        return self

    def erasable(self) -> "Owner":
        """Itself. Raises `Contested` under a legal hold."""
        if self.hold:
            raise Contested("This memory is under a legal hold.", code="legal_hold")
        return self

    def with_segments(self, changed: Sequence[Segment]) -> "Owner":
        by_number = {segment.number: segment for segment in (*self.segments, *changed)}
        return replace(self, segments=tuple(by_number[number] for number in sorted(by_number)))


@dataclass(frozen=True, slots=True)
class Head:
    """One session. `tokens` counts the active branch; `log` lists its newest messages.

    `block` is the memory block of the latest question, `{"for": content hash, "text": ...}`, kept
    so that a tool loop repeats it byte for byte. `usage` is the upstream's latest own report.
    `fingerprint` names the pointer document that finds this session without a header.
    """

    session: str
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    messages: int = 0
    turns: int = 0
    tokens: int = 0
    sequence: int = 0
    open: bool = False
    fingerprint: str | None = None
    requests: Sequence[str] = ()
    log: Sequence[Entry] = ()
    tail: Sequence[Record] = ()
    block: Mapping[str, str] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    version: Version | None = None

    @property
    def key(self) -> str:
        return session_key(self.session)

    @property
    def earlier_in_log(self) -> bool:
        return len(self.log) >= LOG_ENTRIES or self.messages > len(self.log)

    def branch(self) -> list[Record]:
        """The tail's messages on the active branch."""
        return [record for record in self.tail if record.state == "active"]

    def packed(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in PLAIN_FIELDS}
        state = {
            "requests": list(self.requests[-APPEND_KEYS:]),
            "log": [_line(entry) for entry in self.log[-LOG_ENTRIES:]],
            "tail": [orjson.Fragment(record.stored()) for record in self.tail],
            "block": dict(self.block),
            "usage": dict(self.usage),
        }
        return {"schema": SCHEMA, **plain, "state": _text(state)}

    @staticmethod
    def of(document: Document | None, session: str) -> "Head":
        if document is None:
            return Head(session=session)
        fields = upgrades.current(document, "head")
        state = orjson.loads(fields["state"])
        return Head(
            **{name: fields[name] for name in PLAIN_FIELDS},
            requests=state["requests"],
            log=[Entry(*line) for line in state["log"]],
            tail=[Record.unpacked(one) for one in state["tail"]],
            block=state["block"],
            usage=state["usage"],
            version=document.version,
        )


PACKED_FIELDS = {"requests", "log", "tail", "block", "usage", "version"}
PLAIN_FIELDS = tuple(one.name for one in fields(Head) if one.name not in PACKED_FIELDS)


def _line(entry: Entry) -> list[Any]:
    return [entry.hash, entry.id, entry.role, entry.active, entry.tokens]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
