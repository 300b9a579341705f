"""A model's answer read as operations: validated whole, or refused whole. Pure.

The model may create entities, and add, replace and remove statements of those it was shown. It
cannot end an entity, nor say what is always loaded: words in a transcript must not come to stand in
every later prompt.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from gateway.consulting.answers import InvalidAnswer, Strict, parsed
from gateway.entities import operations as done
from gateway.entities.asking import Said, Shown
from gateway.entities.content import Kind
from gateway.entities.operations import (
    FACTS,
    MAX_OPERATIONS,
    MAX_SOURCES,
    Block,
    Name,
    Operation,
    Strength,
    Text,
    Told,
)

Numbers = Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=MAX_SOURCES)]


class Stated(Strict):
    block: Block = FACTS
    text: Text
    sources: Numbers = Field(default_factory=list)


class Create(Strict):
    op: Literal["create"]
    kind: Kind
    name: Name
    strength: Strength = 0.5
    statements: list[Stated] = Field(min_length=1, max_length=MAX_OPERATIONS)


class Add(Stated):
    op: Literal["add"]
    entity: str


class Replace(Strict):
    """Without a `block` the statement stays in that of the one which it replaces."""

    op: Literal["replace"]
    entity: str
    statement: str
    text: Text
    block: Block | None = None
    sources: Numbers = Field(default_factory=list)


class Remove(Strict):
    op: Literal["remove"]
    entity: str
    statement: str


class Answer(Strict):
    operations: list[Annotated[Create | Add | Replace | Remove, Field(discriminator="op")]] = Field(
        max_length=MAX_OPERATIONS
    )


class Reader:
    """Reads answers to one question; `new_id` makes ids with a prefix."""

    def __init__(
        self,
        shown: Shown,
        transcript: Sequence[Said],
        session: str,
        valid_from: float,
        new_id: Callable[[str], str],
    ) -> None:
        self._shown = shown
        self._transcript = transcript
        self._session = session
        self._valid_from = valid_from
        self._new_id = new_id

    def read(self, text: str) -> list[Operation]:
        """Raises `InvalidAnswer`."""
        read = [self._operation(one) for one in parsed(text, Answer).operations]
        return [one for one in read if one is not None]

    def _operation(self, one: Create | Add | Replace | Remove) -> Operation | None:
        """None for the removal of a statement that began after the session: it says nothing."""
        if isinstance(one, Create):
            return done.Create(
                entity=self._new_id("e"),
                kind=one.kind,
                name=one.name,
                valid_from=self._valid_from,
                strength=one.strength,
                statements=[self._told(each, each.block) for each in one.statements],
            )
        if one.entity not in self._shown.entities:
            raise InvalidAnswer("It names an entity that was not shown.")
        entity = self._shown.entities[one.entity].id
        if isinstance(one, Add):
            return done.Add(entity=entity, statement=self._told(one, one.block))
        statement = self._shown.statement(one.entity, one.statement)
        if statement is None:
            raise InvalidAnswer("It names a statement that was not shown.")
        if isinstance(one, Remove):
            if statement.valid_from > self._valid_from:
                return None
            return done.Remove(entity=entity, statement=statement.id, at=self._valid_from)
        told = self._told(one, one.block or statement.block)
        return done.Replace(entity=entity, replaces=statement.id, statement=told)

    def _told(self, stated: Stated | Replace, block: str) -> Told:
        if any(number > len(self._transcript) for number in stated.sources):
            raise InvalidAnswer("It names a message that was not shown.")
        said = [self._transcript[number - 1] for number in stated.sources]
        return Told(
            id=self._new_id("s"),
            block=block,
            text=stated.text,
            valid_from=self._valid_from,
            sources=[one.id for one in said if one.id],
            session=self._session,
        )
