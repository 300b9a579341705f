"""Lines of an export about entities: versions and commits, told and read back. Pure.

What is read is checked as a stranger's words: whatever is in bounds may stand in the store, however
little it makes sense, and nothing else may. Fields that we do not know are left out.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.documents.base import Document
from gateway.entities.commits import Commit, Touched
from gateway.entities.content import MAX_STATEMENTS, Content, Kind, Statement, checked
from gateway.entities.operations import AlwaysLoad, Block, Identifier, Name, Sources, Strength, Text
from gateway.entities.paths import is_entity
from gateway.entities.returning import Returning
from gateway.entities.versions import MAX_VERSIONS, Mark
from gateway.errors import TooLarge
from gateway.portability.items import Committed, Malformed, Version

FARTHEST = 3e11  # seconds; datetimes end in the year 9999, at 2.6e11
LAST_COMMIT = 9_999_999_999  # ten digits

Line = dict[str, Any]
Moment = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, strict=True)]
Number = Annotated[int, Field(ge=1, le=MAX_VERSIONS, strict=True)]
Before = Annotated[int, Field(ge=0, le=MAX_VERSIONS, strict=True)]
Sequence = Annotated[int, Field(ge=1, le=LAST_COMMIT, strict=True)]
SessionName = Annotated[str, Field(max_length=200)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


ReadModel = TypeVar("ReadModel", bound=_Read)


class ReadStatement(_Read):
    id: Identifier
    block: Block
    text: Text
    valid_from: Moment
    valid_to: Moment | None = None
    superseded_by: Identifier | None = None
    sources: Sources = Field(default_factory=list)
    session: SessionName | None = None
    added_in: Before = 0

    def statement(self) -> Statement:
        return Statement(**{**self.model_dump(), "sources": tuple(self.sources)})


class ReadContent(_Read):
    kind: Kind
    name: Name
    valid_from: Moment
    valid_to: Moment | None = None
    strength: Strength = 0.5
    always_load: AlwaysLoad = Field(default_factory=list)
    statements: list[ReadStatement] = Field(default_factory=list, max_length=MAX_STATEMENTS)

    def content(self) -> Content:
        statements = tuple(one.statement() for one in self.statements)
        told = self.model_dump(exclude={"statements"})
        always_load = tuple(self.always_load)
        return Content(**{**told, "always_load": always_load, "statements": statements})


class ReadVersion(_Read):
    entity: str
    number: Number
    valid_from: Moment
    recorded_at: Moment
    commit: Annotated[int, Field(ge=0, le=LAST_COMMIT, strict=True)] = 0
    content: ReadContent


class ReadCommit(_Read):
    sequence: Sequence
    kind: Literal["manual", "session", "revert", "import"]
    at: Moment
    valid_from: Moment
    session: SessionName | None = None
    operations: Annotated[int, Field(ge=0, le=LAST_COMMIT, strict=True)] = 0
    changes: Annotated[list[tuple[str, Before, Number]], Field(max_length=10_000)]
    reverts: Sequence | None = None


def told_version(entity: str, document: Document) -> Line:
    fields = document.fields
    return {
        "type": "version",
        "entity": entity,
        **{name: fields[name] for name in ("number", "valid_from", "recorded_at", "commit")},
        "content": orjson.loads(fields["content"]),
    }


def told_commit(commit: Commit) -> Line:
    return {
        "type": "commit",
        "sequence": commit.sequence,
        "kind": commit.kind,
        "at": commit.at,
        "valid_from": commit.valid_from,
        "session": commit.session,
        "operations": commit.operations,
        "changes": [[t.entity, t.before, t.after] for t in commit.changes],
        "reverts": commit.reverts,
        "reverted_by": commit.reverted_by,
    }


def version_of(fields: Mapping[str, Any], line: int) -> Version:
    """Raises `Malformed`."""
    read = _read(ReadVersion, fields)
    if not is_entity(read.entity):
        raise Malformed("'entity' is the id of an entity.")
    ids = {one.id for one in read.content.statements}
    if len(ids) < len(read.content.statements):
        raise Malformed("Two statements of a version have the same id.")
    mark = Mark(read.number, read.valid_from, read.recorded_at, read.commit)
    try:
        content = checked(read.content.content())
    except TooLarge as error:
        raise Malformed(error.message) from None
    return Version(line, Returning(line, read.entity, mark, content))


def commit_of(fields: Mapping[str, Any], line: int) -> Committed:
    """What reverted it is told by the commit that did. Raises `Malformed`."""
    read = _read(ReadCommit, fields)
    if not all(is_entity(id) for id, _, _ in read.changes):
        raise Malformed("'changes' name entities by their ids.")
    told = read.model_dump(exclude={"changes"})
    return Committed(line, Commit(**told, changes=tuple(Touched(*one) for one in read.changes)))


def _read(model: type[ReadModel], fields: Mapping[str, Any]) -> ReadModel:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise Malformed(f"'{place[:80]}' is not what an export has there.") from None
