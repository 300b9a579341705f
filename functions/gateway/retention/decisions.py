"""Which messages have had their time. Pure: the sweep reads and writes, this decides.

A message is archived when it is older than `max_age_days` and its importance, evaluated now, is
below the threshold. Pins, overrides and uses are in the importance; a legal hold keeps everything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.memory.heads import Head
from gateway.memory.records import Record
from gateway.retention.importance import Importance, importance

DAY_SECONDS = 86_400.0
TOOL_ROLES = frozenset({"tool", "function"})
OVERRIDE = "importance_override"  # a name among the metadata
CALLS = frozenset({"tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class Policy:
    max_age_days: float = 30.0
    importance_threshold: float = 0.35
    delete_after_days: float = 90.0

    def oldest_kept(self, now: float) -> float:
        """Messages said before this moment are candidates."""
        return now - self.max_age_days * DAY_SECONDS

    def deleted_at(self, now: float) -> float:
        """When that which is archived now goes for good."""
        return now + self.delete_after_days * DAY_SECONDS


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

    @property
    def leaving(self) -> list[Record]:
        return [*self.archived, *self.expired]


def decide(records: Sequence[Record], uses: Uses, policy: Policy, now: float) -> Decision:
    """What of a segment or a tail stays and what leaves, each in the order of `records`.

    A tool call and its replies stay or leave together: an upstream refuses one without the other.
    """
    decision = Decision([], [], [])
    again = said_again(records)
    for group in _inseparable(records):
        ended = any(_expired(record, now) for record in group)
        leaves = ended or all(
            _has_had_its_time(record, uses, policy, now, record.id in again) for record in group
        )
        for record in group:
            if _expired(record, now):
                decision.expired.append(record)
            else:
                (decision.archived if leaves else decision.kept).append(record)
    return decision


def importance_of(record: Record, uses: Uses, now: float, *, repeated: bool = False) -> Importance:
    idle_since = max(record.at, uses.last.get(record.id, record.at))
    return importance(
        role=record.role,
        text=record.content,
        idle_days=(now - idle_since) / DAY_SECONDS,
        uses=uses.counts[record.id],
        pinned=record.pin,
        override=override_of(record),
        repeated=repeated,
    )


def override_of(record: Record) -> float | None:
    """The importance that its owner gave a message."""
    given = record.metadata.get(OVERRIDE)
    return float(given) if isinstance(given, int | float) else None


def without(head: Head, gone: Sequence[Record]) -> Head:
    """The head after `gone` left the session's tail or segments.

    Their lines stay in the log, so that a resent history still aligns, but weigh nothing. The
    memory block quotes others' text: it leaves with the question that it was made for.
    """
    ids = {record.id for record in gone}
    asked = {record.hash for record in gone}
    tokens = sum(record.tokens for record in gone if record.state == "active")
    return replace(
        head,
        messages=max(0, head.messages - len(gone)),
        turns=max(0, head.turns - sum(record.role == "user" for record in gone)),
        tokens=max(0, head.tokens - tokens),
        tail=[record for record in head.tail if record.id not in ids],
        log=[replace(entry, tokens=0) if entry.id in ids else entry for entry in head.log],
        block={} if head.block.get("for") in asked else head.block,
    )


def said_again(records: Sequence[Record]) -> set[str]:
    """Ids of the messages whose very text a later one repeats."""
    again: set[str] = set()
    later: set[str] = set()
    for record in reversed(records):
        if record.hash in later:
            again.add(record.id)
        later.add(record.hash)
    return again


def _inseparable(records: Sequence[Record]) -> list[list[Record]]:
    """Each message by itself, but a tool call with the replies that follow it."""
    groups: list[list[Record]] = []
    for record in records:
        if groups and _replies_to(record, groups[-1][0]):
            groups[-1].append(record)
        else:
            groups.append([record])
    return groups


def _replies_to(record: Record, first: Record) -> bool:
    calls = bool(CALLS & first.extras.keys()) and record.session == first.session
    return calls and record.role in TOOL_ROLES


def _expired(record: Record, now: float) -> bool:
    return record.expires_at is not None and record.expires_at <= now


def _has_had_its_time(
    record: Record, uses: Uses, policy: Policy, now: float, repeated: bool
) -> bool:
    if record.at >= policy.oldest_kept(now):
        return False
    found = importance_of(record, uses, now, repeated=repeated)
    return found.value < policy.importance_threshold
