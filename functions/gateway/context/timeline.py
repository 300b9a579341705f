"""What happened lately: facts that began or ended, and what was said, the latest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.context.pieces import Line, Piece, one_line
from gateway.context.standing import Entity
from gateway.entities.content import Statement, date_of
from gateway.memory.records import Record, made_at_milliseconds
from gateway.search.newest import Newest, Place

MOST_EVENTS = 10
MOST_MESSAGES = 10
MOST_PAGES = 4  # of messages read, four segments each
EXCERPT = 300  # characters of a message
HEARD = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Moments:
    """What may be told: what was so by `as_of` and stored by `known_at`, `now` being now."""

    as_of: float
    known_at: float | None
    now: float

    def admits(self, record: Record) -> bool:
        then = record.at <= self.as_of and record.role in HEARD and record.rankable(self.now)
        return then and stored_by(record.id, self.known_at)


def stored_by(id: str, known_at: float | None) -> bool:
    made = made_at_milliseconds(id)
    return known_at is None or (made is not None and made / 1000 <= known_at)


def events(entities: Sequence[Entity], as_of: float) -> list[Piece]:
    """The latest facts that began by `as_of`, the latest first."""
    begun = [
        (one.valid_from, entity, one)
        for entity in entities
        for one in entity.content.statements
        if one.valid_from <= as_of
    ]
    begun.sort(key=lambda each: (-each[0], each[2].id))
    return [_event(entity, one) for _, entity, one in begun[:MOST_EVENTS]]


async def said(newest: Newest, owner: str, moments: Moments) -> tuple[list[Piece], bool]:
    """The latest messages, the latest first, and whether older parts were left unread."""
    found: list[Record] = []
    names: dict[str, str] = {}
    place: Place | None = Place()
    for _ in range(MOST_PAGES):
        page = await newest.page(owner, moments.admits, MOST_MESSAGES, place or Place())
        found += page.records
        names |= page.sessions
        place = page.next
        if place is None or len(found) >= MOST_MESSAGES:
            break
    latest = sorted({one.id: one for one in found}.values(), key=lambda one: (-one.at, one.id))
    unread = place is not None and len(found) < MOST_MESSAGES
    return [_said(one, names.get(one.session)) for one in latest[:MOST_MESSAGES]], unread


def _event(entity: Entity, one: Statement) -> Piece:
    text = f"- {date_of(one.valid_from)} {one_line(entity.content.name)}: {one_line(one.text)}"
    data = {
        "type": "fact",
        "date": date_of(one.valid_from),
        "at": one.valid_from,
        "entity": entity.id,
        "statement": one.id,
        "text": one.text,
        "superseded_by": one.superseded_by,
    }
    line = Line(text, "", data)
    return Piece("timeline", "event", (line,), one.id, at=one.valid_from)


def _said(record: Record, session: str | None) -> Piece:
    whole = one_line(record.content)
    text = whole if len(whole) <= EXCERPT else f"{whole[:EXCERPT]}..."
    data = {
        "type": "message",
        "date": date_of(record.at),
        "at": record.at,
        "id": record.id,
        "session_id": session,
        "role": record.role,
        "text": text,
        "cut": text != whole,
    }
    line = Line(f"- {date_of(record.at)} {record.role}: {text}", "", data)
    return Piece("timeline", "message", (line,), record.id, at=record.at)
