"""Entities as pieces of a context. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.context.histories import Told
from gateway.context.pieces import Line, Piece, Section, one_line
from gateway.context.standing import Entity
from gateway.entities.content import Content, Statement, date_of
from gateway.entities.versions import told


def is_profile(entity: Entity) -> bool:
    """Preferences say who somebody is; everything else is what they know."""
    return entity.content.kind == "preference"


def whole(entity: Entity, as_of: float, section: Section = "entities") -> Piece:
    """All that held at `as_of`, what is most relevant first where it has to be cut."""
    return _piece(entity, section, entity.content.holding(as_of), as_whole=True)


def always(entity: Entity, as_of: float) -> Piece:
    """The blocks that are always loaded; without a line where there are none."""
    content = entity.content
    held = [one for one in content.holding(as_of) if one.block in content.always_load]
    return _piece(entity, "entities", held)


def matching(entity: Entity, as_of: float) -> Piece:
    """What is always loaded and what shares words with the question, that first."""
    content = entity.content
    held = [
        one
        for one in content.holding(as_of)
        if one.block in content.always_load or one.id in entity.scores
    ]
    return _piece(entity, "entities", held)


def with_history(entity: Entity, as_of: float, versions: Sequence[Told]) -> Piece:
    """All that held, all that no longer did, and the versions, the newest first."""
    piece = whole(entity, as_of)
    past = [_past(entity, one) for one in entity.content.past(as_of)]
    begins = len(piece.lines) + len(past)
    changes = [_version(one, begins + place) for place, one in enumerate(versions)]
    lines = (*(_dated(line) for line in piece.lines), *past, *changes)
    return Piece("entities", "entity", lines, entity.id, piece.heading, piece.told, whole=True)


def _piece(
    entity: Entity, section: Section, held: Sequence[Statement], *, as_whole: bool = False
) -> Piece:
    places = {one.id: place for place, one in enumerate(entity.content.statements)}
    lines = [
        Line(f"- {_text(one)}", "statements", told(one), places[one.id])
        for one in _relevant_first(entity, held)
    ]
    content = entity.content
    heading = f"## {content.kind}: {one_line(content.name)}"
    data = _attributes(entity, content)
    return Piece(section, "entity", tuple(lines), entity.id, heading, data, as_whole)


def _attributes(entity: Entity, content: Content) -> dict[str, Any]:
    return {
        "id": entity.id,
        "kind": content.kind,
        "name": content.name,
        "strength": content.strength,
        "version": entity.version,
        "current_version": entity.current,
        "valid_from": content.valid_from,
        "valid_to": content.valid_to,
    }


def _relevant_first(entity: Entity, held: Iterable[Statement]) -> list[Statement]:
    """The always-loaded, then the most relevant, then as they came."""
    loaded = entity.content.always_load
    return sorted(held, key=lambda one: (one.block not in loaded, -entity.scores.get(one.id, 0.0)))


def _text(statement: Statement) -> str:
    return f"[{one_line(statement.block)}] {one_line(statement.text)}"


def _dated(line: Line) -> Line:
    since = f" (since {date_of(line.told['valid_from'])}{_from(line.told['sources'])})"
    return Line(line.text + since, line.part, line.told, line.order)


def _past(entity: Entity, statement: Statement) -> Line:
    began, ended = statement.valid_from, statement.valid_to or statement.valid_from
    why = "superseded" if statement.superseded_by else "ended"
    when = f"{date_of(began)} to {date_of(ended)}, {why}{_from(statement.sources)}"
    order = len(entity.content.statements) + began / 1e12
    return Line(f"- past: {_text(statement)} ({when})", "past", told(statement), order)


def _from(sources: Iterable[str]) -> str:
    named = ", ".join(map(one_line, sources))
    return f"; from {named}" if named else ""


def _version(version: Told, place: int) -> Line:
    mark, changes = version.mark, version.diff
    parts = [
        f"{sign} {one_line(one['text'])}"
        for name, sign in (("added", "+"), ("superseded", "-"), ("ended", "-"), ("reopened", "+"))
        for one in changes[name]
    ]
    if mark.number > 1:  # the first one sets them all
        parts += [f"{name} changed" for name in changes["attributes"]]
    dates = f"of {date_of(mark.valid_from)}, recorded {date_of(mark.recorded_at)}"
    data = {
        "version": mark.number,
        "valid_from": mark.valid_from,
        "recorded_at": mark.recorded_at,
        "commit": mark.commit,
        "diff": changes,
    }
    order = 1e6 + place
    return Line(f"- version {mark.number} {dates}: {'; '.join(parts)}", "versions", data, order)
