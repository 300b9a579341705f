"""What the caller asked for beside the body of a request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.chat.chat_completions import ChatCompletions
from gateway.chat.dialect import Dialect

MemoryMode = Literal["on", "read", "write", "off"]


@dataclass(frozen=True, slots=True)
class Call:
    """`forwarded` headers are already allow-listed. `cached` is None where nobody said; `abandoned`
    tells whether the caller has hung up."""

    mode: MemoryMode = "on"
    session: str | None = None
    idempotency_key: str | None = None
    forwarded: Mapping[str, str] = field(default_factory=dict)
    cached: bool | None = None
    dialect: Dialect = field(default_factory=ChatCompletions)
    abandoned: Callable[[], Awaitable[bool]] | None = None

    @property
    def reads(self) -> bool:
        return self.mode in {"on", "read"}

    @property
    def writes(self) -> bool:
        return self.mode in {"on", "write"}
