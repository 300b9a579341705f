"""Versions and commits that are brought back: what of them a ledger takes, and where. Pure.

A version goes behind the one before it, a commit behind the one before it. What is there already is
left as it is; a history that has gone another way since is not joined with this one. Commits keep
their numbers where the memory has no others: else what they changed comes with a commit of kind
`import`, so that every version leads to one that tells of it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from gateway.entities.cards import MAX_ENTITIES, Card, Index, card_of
from gateway.entities.commits import Commit, Touched
from gateway.entities.content import Content
from gateway.entities.versions import MAX_VERSIONS, History, Mark

CLOCKS_APART_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Returning:
    """One version as the file has it, at its `line`; `mark.commit` is the file's number too."""

    line: int
    entity: str
    mark: Mark
    content: Content


@dataclass(frozen=True, slots=True)
class Batch:
    """In the order of the file; at most what one commit of the store holds."""

    versions: Sequence[Returning] = ()
    commits: Sequence[Commit] = ()

    @property
    def entities(self) -> list[str]:
        return list(dict.fromkeys(one.entity for one in self.versions))

    @property
    def numbers(self) -> list[int]:
        """Of the commits that are decided on, or that decide."""
        named = [one.sequence for one in self.commits] + [one.reverts for one in self.commits]
        named += [one.mark.commit for one in self.versions]
        return sorted({number for number in named if number})


@dataclass(frozen=True, slots=True)
class Standing:
    """What the memory has of what a batch is about, and of the import what it remembers.

    `parted`: the file's log is not the memory's. `refused`: entities whose histories are not.
    """

    index: Index
    histories: Mapping[str, History]
    log: Mapping[int, Commit]
    parted: bool = False
    refused: Set[str] = frozenset()


@dataclass(slots=True)
class Decision:
    """What is to be written, and of each version that is not taken the line and the reason."""

    index: Index
    histories: dict[str, History]
    log: dict[int, Commit]
    parted: bool
    refused: set[str]
    versions: list[Returning] = field(default_factory=list)
    unchanged: int = 0
    written: set[int] = field(default_factory=set)
    commits: int = 0
    skipped: int = 0
    problems: list[tuple[int, str, str]] = field(default_factory=list)


def decided(batch: Batch, standing: Standing, now: float) -> Decision:
    decision = Decision(
        index=standing.index,
        histories=dict(standing.histories),
        log=dict(standing.log),
        parted=standing.parted,
        refused=set(standing.refused),
    )
    for commit in batch.commits:
        _commit(decision, commit, now)
    fresh = [one for one in batch.versions if _fresh(decision, one, now)]
    _place(decision, fresh, now)
    return decision


def _commit(decision: Decision, commit: Commit, now: float) -> None:
    number, index = commit.sequence or 0, decision.index
    bare = replace(commit, reverted_by=None, version=None)
    there = decision.log.get(number)
    if there is not None and replace(there, reverted_by=None, version=None) == bare:
        return
    timely = index.recorded_at <= commit.at <= now + CLOCKS_APART_SECONDS
    if there is not None or decision.parted or number != index.commits + 1 or not timely:
        decision.parted = True
        decision.skipped += 1
        return
    decision.index = replace(index, commits=number, recorded_at=commit.at)
    decision.commits += 1
    _write(decision, bare)
    undone = decision.log.get(commit.reverts or 0)
    if undone is not None and undone.reverted_by is None:
        _write(decision, replace(undone, reverted_by=number))


def _write(decision: Decision, commit: Commit) -> None:
    number = commit.sequence or 0
    decision.log[number] = commit
    decision.written.add(number)


def _fresh(decision: Decision, one: Returning, now: float) -> bool:
    """Whether the version is new and can be taken; then its history has it."""
    history = decision.histories[one.entity]
    mark = history.mark(one.mark.number)
    if one.entity not in decision.refused and mark is not None and _same(mark, one.mark):
        decision.unchanged += 1
        return False
    problem = _problem(decision, history, one, now)
    if problem is not None:
        decision.refused.add(one.entity)
        decision.problems.append((one.line, *problem))
        return False
    decision.histories[one.entity] = history.grown(one.mark)
    return True


def _problem(
    decision: Decision, history: History, one: Returning, now: float
) -> tuple[str, str] | None:
    """A message and a code. What comes behind a refused version is refused too."""
    number, before = one.mark.number, history.marks[-1].recorded_at if history.marks else None
    if one.entity in decision.refused or number > history.current + 1:
        return "The version before it is missing.", "version_missing"
    if number <= history.current:
        return "The entity has changed here since: its history is another.", "entity_differs"
    if one.mark.recorded_at > now + CLOCKS_APART_SECONDS:
        return "It was recorded in the future.", "invalid_line"
    if before is not None and one.mark.recorded_at < before:
        return "It was recorded before the version before it.", "invalid_line"
    if number > MAX_VERSIONS:
        return f"An entity takes {MAX_VERSIONS} versions.", "entity_too_large"
    known = {*decision.index.cards, *(id for id, one in decision.histories.items() if one.marks)}
    if one.entity not in known and len(known) >= MAX_ENTITIES:
        return f"A memory takes {MAX_ENTITIES} entities.", "too_many_entities"
    return None


def _place(decision: Decision, fresh: Sequence[Returning], now: float) -> None:
    """Give each version the number of a commit that tells of it."""
    untold = {id(one) for one in fresh if not _tells(decision.log.get(one.mark.commit), one)}
    recorded_at = max([decision.index.recorded_at, *(one.mark.recorded_at for one in fresh)])
    if untold:
        commit = _import([one for one in fresh if id(one) in untold], decision, now)
        recorded_at = max(recorded_at, commit.at)
        decision.index = replace(decision.index, commits=commit.sequence or 0)
        decision.commits += 1
        _write(decision, commit)
    for one in fresh:
        if id(one) in untold:
            one = replace(one, mark=replace(one.mark, commit=decision.index.commits))
        history = decision.histories[one.entity]
        marks = tuple(one.mark if m.number == one.mark.number else m for m in history.marks)
        decision.histories[one.entity] = replace(history, marks=marks)
        decision.versions.append(one)
    index = replace(decision.index, recorded_at=recorded_at)
    decision.index = index.with_cards(_cards(decision.versions))


def _import(versions: Sequence[Returning], decision: Decision, now: float) -> Commit:
    numbers: dict[str, list[int]] = {}
    for one in versions:
        numbers.setdefault(one.entity, []).append(one.mark.number)
    return Commit(
        sequence=decision.index.commits + 1,
        kind="import",
        at=max(now, decision.index.recorded_at),
        valid_from=min(one.mark.valid_from for one in versions),
        operations=len(versions),
        changes=tuple(Touched(id, min(found) - 1, max(found)) for id, found in numbers.items()),
    )


def _tells(commit: Commit | None, one: Returning) -> bool:
    changes = commit.changes if commit else ()
    return any(t.entity == one.entity and t.before < one.mark.number <= t.after for t in changes)


def _same(mine: Mark, theirs: Mark) -> bool:
    return (mine.valid_from, mine.recorded_at) == (theirs.valid_from, theirs.recorded_at)


def _cards(versions: Iterable[Returning]) -> dict[str, Card]:
    """Of the last version of each."""
    return {
        one.entity: card_of(one.entity, one.content, one.mark.number, one.mark.recorded_at)
        for one in versions
    }
