"""The one storage port: documents under slash-separated paths, committed in batches.

A path alternates collection and document (`owners/o1/sessions/s1`). Fields are JSON values. The
verbs are those that both Firestore and SQLite can keep exactly: nothing here is a transaction that
reads first, because on one hot document those livelock (ARCHITECTURE.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.errors import Unavailable

Fields = Mapping[str, Any]
Version = str


@dataclass(frozen=True, slots=True)
class Document:
    path: str
    fields: Fields
    version: Version
    expires_at: float | None = None

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Create:
    """Write a document that must not exist."""

    path: str
    fields: Fields
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """Write a document whether it exists or not."""

    path: str
    fields: Fields
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Replace a document that must still be at `version` (compare-and-set)."""

    path: str
    fields: Fields
    version: Version
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a document; with `version`, only if it is still at it."""

    path: str
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Add:
    """Blind increments; the answer holds each field's value after. An amount of zero reads.

    `drop` deletes fields in the same write, `labels` sets some. A missing document or field counts
    from zero.
    """

    path: str
    amounts: Mapping[str, float]
    drop: Sequence[str] = ()
    expires_at: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


Write = Create | Set | Update | Delete | Add


@dataclass(frozen=True, slots=True)
class Written:
    """What one write of a commit left behind: the new version and, for `Add`, the values after."""

    version: Version
    values: Mapping[str, float] = field(default_factory=dict)


class Conflict(Exception):
    """A precondition failed and nothing of the commit was applied.

    `path` and `kind` are as exact as the store tells: of a commit of several Firestore does not say
    which document is stale, nor whether it is gone.
    """

    def __init__(self, path: str, kind: Literal["exists", "missing", "stale"]) -> None:
        super().__init__(f"{kind}: {path.partition('/')[0]}")  # paths below hold hashed identities
        self.path = path
        self.kind = kind


class StoreUnavailable(Unavailable):
    """The store is away or too slow. Fails the request, never loses an acknowledged write."""

    code = "store_unavailable"

    def __init__(self, message: str = "The document store is unavailable.") -> None:
        super().__init__(message, retry_after_seconds=2)


class Documents(Protocol):
    async def get(self, *paths: str) -> list[Document | None]:
        """The documents at `paths`, in that order, read at once."""

    async def commit(self, *writes: Write) -> list[Written]:
        """Apply all writes or none. Raises `Conflict` when a precondition fails.

        A path may appear once per commit.
        """

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        """Documents of a collection by id, strictly between the ids `after` and `before`."""

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        """Delete `path` and all beneath, at most `limit` documents; call until it returns 0."""

    async def close(self) -> None: ...


def collection_of(path: str) -> str:
    return path.rpartition("/")[0]


def check_distinct(writes: Sequence[Write]) -> None:
    paths = [write.path for write in writes]
    if len(set(paths)) != len(paths):
        raise ValueError("a path may appear once per commit")
