"""Which messages have had their time. Pure: the sweep reads and writes, this decides.

A message is archived when it is older than `max_age_days` and its importance, evaluated now, is
below the threshold. Pins, overrides and uses are in the importance; a legal hold keeps everything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.memory.importance import Importance, importance
from gateway.memory.records import Record

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    max_age_days: float = 30.0
    importance_threshold: float = 0.35
    delete_after_days: float = 90.0

    def oldest_kept(self, now: float) -> float:
        """Messages said before this moment are candidates."""
        return now - self.max_age_days * DAY_SECONDS


@dataclass(slots=True)
class Uses:
    """How often each message was injected, and when last, derived from receipts."""

    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)

    def learn(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.receipt:
                self._learn(record.receipt["lines"], record.receipt["created_at"])

    def _learn(self, lines: Sequence[Mapping[str, str]], at: float) -> None:
        for line in lines:
            self.counts[line["id"]] += 1
            self.last[line["id"]] = max(at, self.last.get(line["id"], at))


@dataclass(frozen=True, slots=True)
class Decision:
    """`kept` stays, `archived` may still be restored, `expired` had an end of its own."""

    kept: list[Record]
    archived: list[Record]
    expired: list[Record]


def decide(records: Sequence[Record], uses: Uses, policy: Policy, now: float) -> Decision:
    decision = Decision([], [], [])
    later_texts: set[str] = set()
    for record in reversed(records):
        repeated = record.hash in later_texts
        later_texts.add(record.hash)
        if record.expires_at is not None and record.expires_at <= now:
            decision.expired.append(record)
        elif _has_had_its_time(record, uses, policy, now, repeated):
            decision.archived.append(record)
        else:
            decision.kept.append(record)
    for part in (decision.kept, decision.archived, decision.expired):
        part.reverse()
    return decision


def importance_of(record: Record, uses: Uses, now: float, *, repeated: bool = False) -> Importance:
    idle_since = max(record.at, uses.last.get(record.id, record.at))
    override = record.metadata.get("importance_override")
    return importance(
        role=record.role,
        text=record.content,
        idle_days=(now - idle_since) / DAY_SECONDS,
        uses=uses.counts[record.id],
        pinned=record.pin,
        override=float(override) if isinstance(override, int | float) else None,
        repeated=repeated,
    )


def _has_had_its_time(
    record: Record, uses: Uses, policy: Policy, now: float, repeated: bool
) -> bool:
    if record.at >= policy.oldest_kept(now):
        return False
    found = importance_of(record, uses, now, repeated=repeated)
    return found.value < policy.importance_threshold
