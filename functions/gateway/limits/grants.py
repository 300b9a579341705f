"""Which limits a request meets: those of its identity, and those of its key if that has any.

A key without limits of its own counts on its person's document alone, as all of them do: ten keys
are no ten times the limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.accounts.key import Key
from gateway.accounts.usage import Totals
from gateway.accounts.workspace import digest
from gateway.errors import TooLarge
from gateway.limits.base import UNLIMITED, Limits
from gateway.limits.history import History
from gateway.limits.overrides import Overrides
from gateway.limits.quota import Quota
from gateway.limits.window import SUBJECT, Total


@dataclass(frozen=True, slots=True)
class Grant:
    """What one counted document may come to. `before` is of the month's earlier days."""

    name: str
    limits: Limits
    before: Mapping[Total, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def quota(self, tokens: int, cost: int) -> Quota:
        return Quota(
            self.name,
            {"requests": 1, "tokens": tokens},
            self.limits.per_subject(),
            self.limits.budgets(self.before),
            cost,
            self.labels,
        )

    def rest(self, tokens: int, cost: int) -> Quota:
        """For more of a request that has been counted."""
        return Quota(
            self.name,
            {"requests": 0, "tokens": tokens},
            {"tokens": self.limits.tokens_per_minute},
            self.limits.budgets(self.before),
            cost,
            self.labels,
        )


class Grants:
    def __init__(self, defaults: Limits, overrides: Overrides | None, history: History) -> None:
        self._defaults = defaults
        self._overrides = overrides
        self._history = history

    def known(self, subject: str, key: Key | None, now: float) -> list[Grant]:
        """As far as this process knows."""
        return [
            Grant(name, limits, _before(self._history.month_known(name, now)), labels)
            for name, limits, labels in self._named(subject, key)
        ]

    async def of(self, subject: str, key: Key | None, now: float) -> list[Grant]:
        """Reads what is not known or too old. Raises `StoreUnavailable`."""
        if self._overrides is not None:
            await self._overrides.fresh()
        return [await self._grant(*named, now) for named in self._named(subject, key)]

    def _named(self, subject: str, key: Key | None) -> list[tuple[str, Limits, Mapping[str, str]]]:
        said = self._overrides.known(digest(subject)) if self._overrides else None
        allowed, labels = self._defaults.allowing(said), {SUBJECT: subject}
        named: list[tuple[str, Limits, Mapping[str, str]]] = [
            (subject_name(subject), allowed, labels)
        ]
        if key is not None and key.allowance:
            named.append((key_name(key), UNLIMITED.allowing(key.allowance), {}))
        return named

    async def _grant(
        self, name: str, limits: Limits, labels: Mapping[str, str], now: float
    ) -> Grant:
        if not limits.monthly:
            return Grant(name, limits, labels=labels)
        return Grant(name, limits, _before(await self._history.month_before(name, now)), labels)


@lru_cache(maxsize=2048)  # asked three times a request
def subject_name(subject: str) -> str:
    return f"subjects/{digest(subject)}"


def key_name(key: Key) -> str:
    return f"keys/{key.id}"


def refuse_impossible(grants: Sequence[Grant], tokens: int) -> None:
    """Raises `TooLarge` for more tokens than any minute allows."""
    for grant in grants:
        limit = grant.limits.tokens_per_minute
        if limit and tokens > limit:
            raise TooLarge(
                f"Request too large on tokens per min (TPM): Limit {limit}, Requested {tokens}."
                " The input or output tokens must be reduced in order to run successfully."
            )


def _before(totals: Totals) -> dict[Total, int]:
    return {"tokens": totals.tokens, "cost": totals.cost}
