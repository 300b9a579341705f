"""What an entity holds: statements in blocks, each with the time in which it held. Pure.

Statements that contradict one another are a chain in the order of the times they began; each ends
where the next one begins and names it in `superseded_by`. A statement is never overwritten and
never leaves: what a late-told session says of long ago takes its place in the middle of the chain.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from math import floor
from typing import Any, Literal, get_args

import orjson

from gateway.errors import BadRequest, NotFound, TooLarge

Kind = Literal["person", "place", "project", "preference", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_STATEMENTS = 256
CONTENT_BYTES = 160 * 1024  # fifty of them fit into one commit of 10 MiB


@dataclass(frozen=True, slots=True)
class Statement:
    """Held from `valid_from` until before `valid_to` (epoch seconds). `sources` are message ids.

    `added_in` is the number of the version that first had it, which leads to its commit.
    """

    id: str
    block: str
    text: str
    valid_from: float
    valid_to: float | None = None
    superseded_by: str | None = None
    sources: tuple[str, ...] = ()
    session: str | None = None
    added_in: int = 0

    def holds_at(self, moment: float) -> bool:
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)


@dataclass(frozen=True, slots=True)
class Content:
    """`always_load` names blocks. From `valid_to` on the entity is no more."""

    kind: Kind
    name: str
    valid_from: float
    valid_to: float | None = None
    strength: float = 0.5
    always_load: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()

    def stands_at(self, moment: float) -> bool:
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)

    def holding(self, moment: float) -> list[Statement]:
        return [one for one in self.statements if one.holds_at(moment)]

    def open_statements(self) -> list[Statement]:
        """Those that have no end yet."""
        return [one for one in self.statements if one.valid_to is None]

    def past(self, moment: float) -> list[Statement]:
        """Statements that began and hold no more, the contradicted among them."""
        return [
            one for one in self.statements if one.valid_from <= moment and not one.holds_at(moment)
        ]

    def packed(self) -> str:
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return orjson.dumps(
            {**told, "statements": [_packed(one) for one in self.statements]}
        ).decode()

    @staticmethod
    def unpacked(text: str) -> "Content":
        told = orjson.loads(text)
        statements = tuple(_unpacked(one) for one in told.pop("statements"))
        return Content(
            **{**told, "always_load": tuple(told["always_load"]), "statements": statements}
        )


def _packed(statement: Statement) -> dict[str, Any]:
    told = {one.name: getattr(statement, one.name) for one in fields(statement)}
    return {name: value for name, value in told.items() if value not in (None, ())}


def _unpacked(told: Mapping[str, Any]) -> Statement:
    return Statement(**{**told, "sources": tuple(told.get("sources", ()))})


def chain_of(statements: Iterable[Statement], id: str) -> list[Statement]:
    """The statement with all that it superseded and all that superseded it, the oldest first."""
    by_id = {one.id: one for one in statements}
    before = {one.superseded_by: one for one in by_id.values() if one.superseded_by}
    chain, seen = [by_id[id]], {id}
    while (earlier := before.get(chain[0].id)) and earlier.id not in seen:
        chain.insert(0, earlier)
        seen.add(earlier.id)
    while (later := by_id.get(chain[-1].superseded_by or "")) and later.id not in seen:
        chain.append(later)
        seen.add(later.id)
    return chain


def with_added(content: Content, new: Statement) -> Content:
    statements = (*content.statements, new)
    return checked(replace(content, statements=statements, valid_from=_earliest(content, new)))


def with_replaced(content: Content, id: str, new: Statement) -> Content:
    """`new` in the chain of the statement `id`, at the place that its `valid_from` has there.

    One that begins when another began corrects that: the other then held at no time.
    """
    _known(content, id)
    chain = chain_of(content.statements, id)
    begun = [one for one in chain if one.valid_from <= new.valid_from]
    following = chain[len(begun)] if len(begun) < len(chain) else None
    end = following.valid_from if following else None
    changed: list[Statement] = []
    if begun:
        previous = begun[-1]
        if previous.holds_at(new.valid_from):
            end = previous.valid_to
            previous = replace(previous, valid_to=new.valid_from)
        changed.append(replace(previous, superseded_by=new.id))
    successor = following.id if following else None
    new = replace(new, valid_to=_sooner(new.valid_to, end), superseded_by=successor)
    return with_added(_with(content, changed), new)


def with_removed(content: Content, id: str, moment: float) -> Content:
    """The statement ends at `moment`, or held at no time where it began later; nothing follows."""
    one = _known(content, id)
    end = max(moment, one.valid_from)
    if one.valid_to is not None and one.valid_to <= end:
        return content
    return _with(content, [replace(one, valid_to=end)])


def checked(content: Content) -> Content:
    """Itself. Raises `TooLarge` for what no version may hold."""
    if len(content.statements) > MAX_STATEMENTS:
        raise TooLarge(
            f"An entity takes {MAX_STATEMENTS} statements, those that hold no more included.",
            code="entity_too_large",
        )
    if len(content.packed().encode()) > CONTENT_BYTES:
        raise TooLarge(f"An entity takes {CONTENT_BYTES // 1024} KiB.", code="entity_too_large")
    return content


def blocks_of(statements: Sequence[Statement]) -> dict[str, list[Statement]]:
    """By block, in the order in which the blocks first come."""
    blocks: dict[str, list[Statement]] = {}
    for one in statements:
        blocks.setdefault(one.block, []).append(one)
    return blocks


def _with(content: Content, changed: Iterable[Statement]) -> Content:
    by_id = {one.id: one for one in changed}
    return replace(content, statements=tuple(by_id.get(s.id, s) for s in content.statements))


def _known(content: Content, id: str) -> Statement:
    for one in content.statements:
        if one.id == id:
            return one
    raise BadRequest("The entity has no such statement.", param="statement")


def _earliest(content: Content, new: Statement) -> float:
    return min(content.valid_from, new.valid_from)


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def whole_milliseconds(at: float) -> float:
    """A moment as it is kept: one that is told can be asked for again, digit for digit."""
    return floor(at * 1000) / 1000


def date_of(at: float) -> str:
    """The day in UTC, as ISO 8601 has it; `unknown` for one that no calendar here holds."""
    try:
        return datetime.fromtimestamp(at, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "unknown"


def missing() -> NotFound:
    return NotFound("No such entity.", code="entity_not_found")
