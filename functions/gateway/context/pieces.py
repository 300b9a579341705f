"""What a context is made of: pieces of lines, each with what it is as data. Pure.

In the text a line is one line, whatever is in it: what was remembered can forge neither another
line nor a heading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Section = Literal["profile", "entities", "timeline", "messages"]
Reason = Literal["over_budget", "not_read", "not_always_loaded", "not_relevant", "no_query"]

SECTIONS: tuple[Section, ...] = ("profile", "entities", "timeline", "messages")


@dataclass(frozen=True, slots=True)
class Line:
    """`told` under the name `part` of its piece's data, `order` where it stands there."""

    text: str
    part: str
    told: Mapping[str, Any]
    order: float = 0.0


@dataclass(frozen=True, slots=True)
class Piece:
    """An entity, or what belongs together otherwise; its lines are in the order of their worth.

    A `whole` one is left out rather than cut, unless it alone is more than the budget. Where pieces
    have a moment `at`, the latest stands first, whatever their worth.
    """

    section: Section
    kind: Literal["entity", "event", "message"]
    lines: tuple[Line, ...]
    id: str | None = None
    heading: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`count` lines of the one with this `id`, or that many of a kind; `tokens` where counted."""

    kind: str
    reason: Reason
    count: int = 1
    id: str | None = None
    tokens: int | None = None


def one_line(text: str) -> str:
    return " ".join(text.split())
