"""Whose texts are redacted, and how much was taken out of them since the process began."""

from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.redaction.base import Kind
from gateway.redaction.redactor import Redactor

Enabled = Callable[[str], Awaitable[bool]]


class Redaction:
    """`enabled`: for everybody, or told by owner. `counts`: by kind, for whoever reports them."""

    def __init__(self, enabled: bool | Enabled) -> None:
        self._enabled = enabled
        self.counts: Counter[Kind] = Counter()

    async def of(self, owner: str) -> Redactor:
        """For one request of this owner's. Raises what `enabled` raises."""
        if isinstance(self._enabled, bool):
            return Redactor(enabled=self._enabled, counts=self.counts)
        return Redactor(enabled=await self._enabled(owner), counts=self.counts)
