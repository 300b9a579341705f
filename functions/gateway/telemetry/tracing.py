"""The port of tracing: spans that begin and end. Knows no exporter; without one there are none."""

from collections.abc import Mapping
from typing import Literal, Protocol

from gateway.telemetry.tracecontext import TraceContext

Value = str | bool | int | float | tuple[str, ...]
Kind = Literal["server", "client", "internal"]


class Span(Protocol):
    @property
    def traceparent(self) -> str:
        """For the header of a call that is part of it."""

    @property
    def trace(self) -> str: ...

    @property
    def id(self) -> str: ...

    @property
    def sampled(self) -> bool: ...

    def tell(self, attributes: Mapping[str, Value]) -> None: ...

    def end(self, name: str | None = None, error: str = "") -> None:
        """`name` is the final one, where it was not known before; `error` a kind, never a text.

        A second end changes nothing.
        """


class Tracer(Protocol):
    def begin(
        self,
        name: str,
        kind: Kind,
        parent: Span | TraceContext | None,
        attributes: Mapping[str, Value],
    ) -> Span: ...
