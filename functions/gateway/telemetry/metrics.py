"""The port of metrics, and those of a process that nobody asks for any."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.telemetry.record import Record

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Answer:
    """`endpoint` is the route's pattern, `unmatched` without one."""

    method: str
    endpoint: str
    status: int
    seconds: float


class Metrics(Protocol):
    on: bool

    def began(self) -> None: ...

    def ended(self, answer: Answer, record: Record) -> None: ...

    def swept(self, tally: Mapping[str, int], failures: int) -> None:
        """A sweep has ended; `tally` counts messages and documents by what became of them."""

    def told(self) -> tuple[bytes, str]:
        """All of them as text, with its media type."""


class NoMetrics:
    on = False

    def began(self) -> None: ...

    def ended(self, answer: Answer, record: Record) -> None: ...

    def swept(self, tally: Mapping[str, int], failures: int) -> None: ...

    def told(self) -> tuple[bytes, str]:
        return b"", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of an HTTP client: those at work, and those kept for the next request."""

    active: int
    idle: int
