"""One commit of the entities' log: what it changed, by version numbers alone. Pure.

A commit holds no text, so that nothing of an entity stays in the log once it is erased.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from gateway.documents.base import Document, Version, Write
from gateway.entities.content import Content

SCHEMA = 1

CommitKind = Literal["manual", "session", "revert", "import"]
Contents = Mapping[str, Content | None]


@dataclass(frozen=True, slots=True)
class Touched:
    """From version `before` (0: it was not there) to version `after`."""

    entity: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Commit:
    """`sequence` is None where there was nothing to change, and then nothing was recorded."""

    sequence: int | None
    kind: CommitKind
    at: float
    valid_from: float
    session: str | None = None
    operations: int = 0
    changes: tuple[Touched, ...] = ()
    reverts: int | None = None
    reverted_by: int | None = None
    version: Version | None = None

    def packed(self) -> dict[str, Any]:
        told = {**asdict(self), "changes": [[t.entity, t.before, t.after] for t in self.changes]}
        del told["version"]
        return {"schema": SCHEMA, "commit": orjson.dumps(told).decode()}

    @staticmethod
    def of(document: Document) -> "Commit":
        told = orjson.loads(document.fields["commit"])
        changes = tuple(Touched(*line) for line in told.pop("changes"))
        return Commit(**told, changes=changes, version=document.version)

    def told(self) -> dict[str, Any]:
        return {
            "object": "memory.commit",
            "sequence": self.sequence,
            "kind": self.kind,
            "created_at": self.at,
            "valid_from": self.valid_from,
            "session_id": self.session,
            "operations": self.operations,
            "changes": [
                {"entity": t.entity, "from_version": t.before, "to_version": t.after}
                for t in self.changes
            ],
            "reverts": self.reverts,
            "reverted_by": self.reverted_by,
        }


def nothing_beside(_: Commit) -> Sequence[Write]:
    return ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit is to do.

    `base` are the current versions that it was made for, of every entity that it touches (0: not
    there yet). `make` takes the contents and the numbers of the versions to come to the contents
    after. `epoch` is the owner's when it began, None where it begins with the commit. `beside` is
    written in the same commit.
    """

    base: Mapping[str, int]
    make: Callable[[Contents, Mapping[str, int]], Contents]
    valid_from: float
    kind: CommitKind = "manual"
    session: str | None = None
    operations: int = 1
    epoch: int | None = None
    reverts: int | None = None
    moved: str = "version_conflict"
    beside: Callable[[Commit], Sequence[Write]] = field(default=nothing_beside)
