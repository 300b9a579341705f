"""The versions of a few entities with what each of them changed, read in two rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.context.standing import Entity
from gateway.entities.register import Register
from gateway.entities.versions import Mark, difference

MOST_ENTITIES = 8
MOST_VERSIONS = 8  # of one entity, the last ones


@dataclass(frozen=True, slots=True)
class Told:
    mark: Mark
    diff: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """The newest version first; `unread` are the older ones beyond the bound."""

    versions: Sequence[Told]
    unread: int


async def pasts(
    register: Register, owner: str, entities: Sequence[Entity], as_of: float
) -> dict[str, Past]:
    """By entity: one read for each and one for each version, and for one before them."""
    histories = await register.histories(owner, [one.id for one in entities])
    marks = {
        one.id: [mark for mark in histories[one.id].marks if mark.number <= one.version]
        for one in entities
    }
    shown = {id: these[-MOST_VERSIONS:] for id, these in marks.items()}
    wanted = dict.fromkeys(
        (id, number)
        for id, these in shown.items()
        for mark in these
        for number in (mark.number - 1, mark.number)
        if number
    )
    contents = await register.versions(owner, list(wanted))
    found = {}
    for id, these in shown.items():
        told = [
            Told(
                mark,
                difference(contents.get((id, mark.number - 1)), contents[id, mark.number], as_of),
            )
            for mark in reversed(these)
            if (id, mark.number) in contents
        ]
        found[id] = Past(told, len(marks[id]) - len(these))
    return found
