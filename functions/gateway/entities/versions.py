"""An entity's versions: which one was known when, what two of them differ in, who said what. Pure.

Two times are kept apart (bitemporal data, as in SQL:2011). Recorded time picks a version: the last
one that was there at `known_at`. Valid time picks in it what held at `as_of`. A version is never
changed, so what an answer was for a `known_at` in the past it is for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.documents.base import Document, Version
from gateway.entities.content import Content, Statement
from gateway.errors import TooLarge

SCHEMA = 1
MAX_VERSIONS = 2000

ATTRIBUTES = ("kind", "name", "strength", "always_load", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Mark:
    """One version without its content. `valid_from` is the time that its change speaks of."""

    number: int
    valid_from: float
    recorded_at: float
    commit: int


@dataclass(frozen=True, slots=True)
class History:
    """An entity's own document: the marks of all its versions, in the order recorded."""

    marks: tuple[Mark, ...] = ()
    version: Version | None = None

    @property
    def current(self) -> int:
        return self.marks[-1].number if self.marks else 0

    def known(self, at: float | None) -> Mark | None:
        found = [one for one in self.marks if at is None or one.recorded_at <= at]
        return found[-1] if found else None

    def mark(self, number: int) -> Mark | None:
        return self.marks[number - 1] if 1 <= number <= len(self.marks) else None

    def valid_to(self, mark: Mark, known_at: float | None = None) -> float | None:
        """When the next version in valid time begins; None for the last one."""
        later = [
            one.valid_from
            for one in self.marks
            if (known_at is None or one.recorded_at <= known_at)
            and (one.valid_from, one.number) > (mark.valid_from, mark.number)
        ]
        return min(later, default=None)

    def grown(self, mark: Mark) -> "History":
        if len(self.marks) >= MAX_VERSIONS:
            raise TooLarge(f"An entity takes {MAX_VERSIONS} versions.", code="entity_too_large")
        return History((*self.marks, mark), self.version)

    def packed(self) -> dict[str, Any]:
        lines = [[m.number, m.valid_from, m.recorded_at, m.commit] for m in self.marks]
        return {"schema": SCHEMA, "versions": orjson.dumps(lines).decode()}

    @staticmethod
    def of(document: Document | None) -> "History":
        if document is None:
            return History()
        lines = orjson.loads(document.fields["versions"])
        return History(tuple(Mark(*line) for line in lines), document.version)


def difference(
    before: Content | None, after: Content | None, as_of: float | None = None
) -> dict[str, Any]:
    """What the second says otherwise than the first; only what began by `as_of`, if one is given.

    `superseded` and `ended` are statements of both whose time has since been closed, `reopened`
    those whose time has been opened again, by a revert.
    """
    old, new = _by_id(before, as_of), _by_id(after, as_of)
    changed = [new[id] for id in new if id in old and old[id] != new[id]]
    return {
        "attributes": _attributes(before, after),
        "added": [told(one) for id, one in new.items() if id not in old],
        "removed": [told(one) for id, one in old.items() if id not in new],
        "superseded": [told(one) for one in changed if _newly(one, old, "superseded_by")],
        "ended": [
            told(one)
            for one in changed
            if one.valid_to is not None and not _newly(one, old, "superseded_by")
        ],
        "reopened": [
            told(one)
            for one in changed
            if one.valid_to is None and not _newly(one, old, "superseded_by")
        ],
    }


def blame(content: Content, history: History, moment: float) -> list[dict[str, Any]]:
    """For each statement that began by `moment`: its messages, its version and its commit."""
    lines = []
    for one in content.statements:
        if one.valid_from <= moment:
            mark = history.mark(one.added_in)
            lines.append(
                {
                    **told(one),
                    "holds": one.holds_at(moment),
                    "version": one.added_in,
                    "commit": mark.commit if mark else None,
                    "recorded_at": mark.recorded_at if mark else None,
                }
            )
    return lines


def told(statement: Statement) -> dict[str, Any]:
    return {
        "id": statement.id,
        "block": statement.block,
        "text": statement.text,
        "sources": list(statement.sources),
        "session_id": statement.session,
        "valid_from": statement.valid_from,
        "valid_to": statement.valid_to,
        "superseded_by": statement.superseded_by,
    }


def _by_id(content: Content | None, as_of: float | None) -> dict[str, Statement]:
    statements = content.statements if content else ()
    return {one.id: one for one in statements if as_of is None or one.valid_from <= as_of}


def _attributes(before: Content | None, after: Content | None) -> dict[str, Any]:
    changes = {}
    for name in ATTRIBUTES:
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old != new:
            changes[name] = {"from": _plain(old), "to": _plain(new)}
    return changes


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _newly(one: Statement, old: Mapping[str, Statement], name: str) -> bool:
    value = getattr(one, name)
    return value is not None and value != getattr(old[one.id], name)
