"""What is taken out of a text: where it stands, of what kind it is, what stands there instead."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["EMAIL", "API_KEY", "CARD", "PHONE"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Found:
    """From `start` until before `end`, in characters."""

    start: int
    end: int
    kind: Kind


MARK = "[REDACTED_"


def placeholder(kind: Kind) -> str:
    return f"{MARK}{kind}]"


def apart(found: Iterable[Found]) -> Iterator[Found]:
    """In their order; of two that overlap the one that begins first, of those a key, or the longer:
    a password in front of a host is no address."""
    end = 0
    for one in sorted(found, key=lambda one: (one.start, one.kind != "API_KEY", -one.end)):
        if one.start >= end:
            yield one
            end = one.end
