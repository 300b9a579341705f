"""The words of the health room: what is looked at, and what was found there."""

from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["healthy", "unhealthy", "unknown"]


class Unwell(Exception):
    """What was looked at cannot do its work. `args[0]` says why, and never quotes a vendor."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a probe saw. Times are None where it asked nobody just now: the checkup's own count.

    `seconds` is how long the last answer took, `at` when it came, in epoch seconds.
    """

    state: State = "healthy"
    detail: str = ""
    seconds: float | None = None
    at: float | None = None
    asked: bool = True


class Probe(Protocol):
    """One dependency. Without a `required` one the service cannot do what it is for."""

    name: str
    required: bool

    async def look(self) -> Sighting:
        """Raises `Unwell`, or whatever the dependency raises when it is away."""
