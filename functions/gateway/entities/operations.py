"""What can be done to entities, and doing it. Pure.

An operation names everything that it makes (ids, times), so that applying it again to the same
content gives the same content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gateway.entities.content import (
    Content,
    Kind,
    Statement,
    checked,
    missing,
    with_added,
    with_removed,
    with_replaced,
)

MAX_OPERATIONS = 50
MAX_TEXT = 1000
MAX_NAME = 120
MAX_BLOCK = 60
MAX_SOURCES = 20
FACTS = "facts"

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=r"\S")]
Block = Annotated[str, Field(min_length=1, max_length=MAX_BLOCK, pattern=r"\S")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
Source = Annotated[str, Field(min_length=1, max_length=64)]
Sources = Annotated[list[Source], Field(max_length=MAX_SOURCES)]
Strength = Annotated[float, Field(ge=0, le=1)]
AlwaysLoad = Annotated[list[Block], Field(max_length=20)]
Identifier = Annotated[str, Field(min_length=1, max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(_Strict):
    """A statement to come, with its id."""

    id: Identifier
    block: Block = FACTS
    text: Text
    valid_from: float
    valid_to: float | None = None
    sources: Sources = Field(default_factory=list)
    session: str | None = None

    def statement(self, number: int) -> Statement:
        told = self.model_dump()
        return Statement(**{**told, "sources": tuple(told["sources"]), "added_in": number})


class Create(_Strict):
    op: Literal["create"] = "create"
    entity: Identifier
    kind: Kind
    name: Name
    valid_from: float
    strength: Strength = 0.5
    always_load: AlwaysLoad = Field(default_factory=list)
    statements: list[Told] = Field(default_factory=list, max_length=MAX_OPERATIONS)


class Add(_Strict):
    op: Literal["add"] = "add"
    entity: Identifier
    statement: Told


class Replace(_Strict):
    """The statement `replaces` is contradicted from `statement.valid_from` on."""

    op: Literal["replace"] = "replace"
    entity: Identifier
    replaces: Identifier
    statement: Told


class Remove(_Strict):
    """The statement holds no more from `at` on, and nothing takes its place."""

    op: Literal["remove"] = "remove"
    entity: Identifier
    statement: Identifier
    at: float


class Adjust(_Strict):
    """What stands beside the statements; None stays."""

    op: Literal["set"] = "set"
    entity: Identifier
    name: Name | None = None
    kind: Kind | None = None
    strength: Strength | None = None
    always_load: AlwaysLoad | None = None


class End(_Strict):
    """The entity is no more from `at` on; its history stays."""

    op: Literal["delete"] = "delete"
    entity: Identifier
    at: float


Operation = Annotated[Create | Add | Replace | Remove | Adjust | End, Field(discriminator="op")]


def operations_from(told: Any) -> list[Operation]:
    return TypeAdapter(list[Operation]).validate_python(told)


def applied(content: Content | None, operation: Operation, number: int) -> Content:
    """The content after; `number` is that of the version which will hold it.

    Raises `NotFound` for an entity that is not there, `BadRequest` for a statement that is not,
    `TooLarge`.
    """
    if isinstance(operation, Create):
        return content or checked(_created(operation, number))
    if content is None or content.valid_to is not None:
        raise missing()
    match operation:
        case Add():
            return with_added(content, operation.statement.statement(number))
        case Replace():
            return with_replaced(content, operation.replaces, operation.statement.statement(number))
        case Remove():
            return with_removed(content, operation.statement, operation.at)
        case Adjust():
            return checked(_adjusted(content, operation))
        case End():
            return ended(content, operation.at)
        case _:
            assert_never(operation)


def ended(content: Content, moment: float) -> Content:
    return replace(content, valid_to=max(moment, content.valid_from))


def all_applied(
    contents: Mapping[str, Content | None],
    operations: Sequence[Operation],
    numbers: Mapping[str, int],
) -> dict[str, Content | None]:
    """The contents by entity after all operations, in their order."""
    after = dict(contents)
    for operation in operations:
        id = operation.entity
        after[id] = applied(after.get(id), operation, numbers[id])
    return after


def _created(operation: Create, number: int) -> Content:
    begins = [operation.valid_from, *(one.valid_from for one in operation.statements)]
    return Content(
        kind=operation.kind,
        name=operation.name,
        valid_from=min(begins),
        strength=operation.strength,
        always_load=tuple(operation.always_load),
        statements=tuple(one.statement(number) for one in operation.statements),
    )


def _adjusted(content: Content, operation: Adjust) -> Content:
    told = operation.model_dump(exclude_none=True, exclude={"op", "entity"})
    if "always_load" in told:
        told["always_load"] = tuple(told["always_load"])
    return replace(content, **told)
