"""A DiffMem memory repository: its files become entities, its commits their versions. Pure.

A statement holds from the commit that brought it until the one that took it away; the one that
stands in its place supersedes it. It was recorded when it was committed, it holds from when it was
written. Ids are made of the file's path and of the date of its first commit, so that a repository
which has grown since may be imported again: what is new of it is added.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from gateway.entities.cards import MAX_ENTITIES
from gateway.entities.commits import Commit, Touched
from gateway.entities.content import MAX_STATEMENTS, Content, Statement, checked
from gateway.entities.operations import ended
from gateway.entities.returning import Returning
from gateway.entities.versions import Mark
from gateway.errors import TooLarge
from gateway.memory.records import content_hash, new_id
from gateway.portability.fast_export import Cleared, Deleted, FileChange, Renamed, Revision, Written
from gateway.portability.items import Committed, Item, Refused, Version
from gateway.portability.notes import Note, is_note, note_of

KEY = "git"
HELD_BYTES = 64 * 1024 * 1024

Said = tuple[str, str]


@dataclass(slots=True, eq=False)
class _File:
    """`path` is the first one: renamed the entity stays. `number` is that of its last version."""

    entity: str
    path: str
    number: int = 0
    content: Content | None = None
    size: int = 0


class Repository:
    """Takes revisions in their order; their number stands where a line would."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._known: dict[str, _File] = {}
        self._revisions = self._commits = self._size = 0
        self._recorded_at = 0.0

    def items(self, revision: Revision) -> Iterator[Item]:
        self._revisions += 1
        line = self._revisions
        before: dict[str, tuple[_File, int, Content | None]] = {}
        for change in revision.changes:
            for file in self._touched(change, revision):
                before.setdefault(file.entity, (file, file.number, file.content))
            if problem := self._apply(change, revision.written_at):
                yield Refused(line, problem)
        changed = [one for one in before.values() if one[0].content not in (None, one[2])]
        if changed:
            yield from self._versions(line, revision, changed)

    def _versions(
        self, line: int, revision: Revision, changed: Sequence[tuple[_File, int, Content | None]]
    ) -> Iterator[Item]:
        """Recorded time never runs back, whatever the committers' clocks said."""
        self._commits += 1
        self._recorded_at = max(self._recorded_at, revision.committed_at)
        touched = tuple(Touched(file.entity, number, number + 1) for file, number, _ in changed)
        yield Committed(
            line,
            Commit(
                sequence=self._commits,
                kind="import",
                at=self._recorded_at,
                valid_from=revision.written_at,
                operations=len(changed),
                changes=touched,
            ),
        )
        for file, number, _ in changed:
            file.number = number + 1
            mark = Mark(file.number, revision.written_at, self._recorded_at, self._commits)
            assert file.content is not None  # noqa: S101  it has changed
            yield Version(line, Returning(line, file.entity, mark, file.content))

    def _touched(self, change: FileChange, revision: Revision) -> list[_File]:
        """The files whose content the change may change."""
        match change:
            case Cleared():
                return list(self._files.values())
            case Deleted() | Renamed():
                return [self._files[change.path]] if change.path in self._files else []
            case Written():
                if not is_note(change.path) or change.text is None or not self._room(change.path):
                    return []
                return [self._file(change.path, revision.written_at)]

    def _apply(self, change: FileChange, at: float) -> str:
        """What is wrong with it; nothing for what is no note."""
        match change:
            case Cleared():
                for file in self._files.values():
                    _end(file, at)
                self._files.clear()
            case Deleted():
                if (gone := self._files.pop(change.path, None)) is not None:
                    _end(gone, at)
            case Renamed():
                if (moved := self._files.pop(change.path, None)) is not None:
                    self._rename(moved, change.to, at)
            case Written():
                return self._write(change, at) if is_note(change.path) else ""
        return ""

    def _write(self, change: Written, at: float) -> str:
        if change.text is None:
            return "A file is too long."
        if not self._room(change.path):
            return f"A memory takes {MAX_ENTITIES} entities."
        try:
            note = note_of(change.path, change.text.decode())
        except UnicodeDecodeError:
            return "A file is not UTF-8."
        file = self._file(change.path, at)
        try:
            content = _grown(file, note, at)
        except TooLarge as error:
            return error.message
        size = len(content.packed())
        if self._size + size - file.size > HELD_BYTES:
            return "The repository holds too much."
        self._size += size - file.size
        file.content, file.size = content, size
        return ""

    def _rename(self, file: _File, to: str, at: float) -> None:
        if is_note(to):
            self._files[to] = file
        else:
            _end(file, at)

    def _room(self, path: str) -> bool:
        return path in self._files or path in self._known or len(self._known) < MAX_ENTITIES

    def _file(self, path: str, at: float) -> _File:
        """One that was deleted goes on where it ended."""
        if path not in self._files:
            known = self._known.get(path)
            if known is None or known in self._files.values():
                known = self._known[path] = _File(_id("e", at, path), path)
            self._files[path] = known
        return self._files[path]


def _end(file: _File, at: float) -> None:
    if file.content is not None and file.content.valid_to is None:
        file.content = ended(file.content, at)


def _grown(file: _File, note: Note, at: float) -> Content:
    """Raises `TooLarge`. Of what is too much, what ended first is left out of this version."""
    before = file.content
    if len(note.statements) > MAX_STATEMENTS:
        raise TooLarge(f"An entity takes {MAX_STATEMENTS} statements.", code="entity_too_large")
    standing = before.open_statements() if before else []
    past = [one for one in before.statements if one.valid_to is not None] if before else []
    kept, gone = _compared(standing, note.statements, file, at)
    past = (past + gone)[max(0, len(past) + len(gone) + len(kept) - MAX_STATEMENTS) :]
    return checked(
        Content(
            kind=note.kind,
            name=note.name,
            valid_from=min(at, before.valid_from) if before else at,
            strength=note.strength,
            always_load=note.always_load,
            statements=(*kept, *past),
        )
    )


def _compared(
    standing: Sequence[Statement], said: Sequence[Said], file: _File, at: float
) -> tuple[list[Statement], list[Statement]]:
    """The statements that the file has now, and those that it has no more.

    What is said in the same words is the same, wherever it stands. Of what is said no more and what
    is new, those in the same block behind the same statement supersede one another in their order.
    """
    held: dict[Said, list[Statement]] = {}
    for one in reversed(standing):
        held.setdefault((one.block, one.text), []).append(one)
    kept = [
        held[pair].pop() if held.get(pair) else _statement(pair, place, file, at)
        for place, pair in enumerate(said)
    ]
    known, stays = {one.id for one in standing}, {one.id for one in kept}
    followers = {place: one for place, one in _placed(kept, known) if one.id not in known}
    gone = []
    for place, one in _placed(standing, stays):
        if one.id not in stays:
            successor = followers[place].id if place in followers else None
            gone.append(replace(one, valid_to=max(at, one.valid_from), superseded_by=successor))
    return kept, gone


def _placed(
    statements: Sequence[Statement], known: Container[str]
) -> Iterator[tuple[tuple[str, str, int], Statement]]:
    """Each with its place: its block, the known one before it, and how far behind that."""
    anchor, places = "", count()
    for one in statements:
        if one.id in known:
            anchor, places = one.id, count()
        yield (one.block, anchor, next(places)), one


def _statement(said: Said, place: int, file: _File, at: float) -> Statement:
    number = file.number + 1
    id = _id("s", at, file.path, f"{number} {place}", *said)
    return Statement(id=id, block=said[0], text=said[1], valid_from=at, added_in=number)


def _id(prefix: str, at: float, *named: str) -> str:
    digest = int(content_hash(KEY, prefix, "", named), 32)
    return new_id(max(at, 0.0), lambda bits: digest % (1 << bits), prefix)
