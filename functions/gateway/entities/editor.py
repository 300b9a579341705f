"""Entities written by hand: what a caller gives, made into one commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from gateway.entities.commits import Change, Commit
from gateway.entities.content import Kind, missing, whole_milliseconds
from gateway.entities.ledger import Ledger
from gateway.entities.operations import (
    FACTS,
    MAX_NAME,
    MAX_TEXT,
    Add,
    Adjust,
    Create,
    End,
    Operation,
    Remove,
    Replace,
    Told,
    all_applied,
)
from gateway.entities.paths import is_entity
from gateway.entities.register import Register, View
from gateway.errors import BadRequest, Contested, TooLarge
from gateway.memory.records import content_hash, new_id
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class Given:
    """A statement as it was given; without a time of its own it holds from the change's on."""

    text: str
    block: str | None = None
    sources: Sequence[str] = ()
    valid_from: float | None = None
    valid_to: float | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    statement: str
    given: Given


@dataclass(frozen=True, slots=True)
class Changes:
    """None stays; `valid_from` None is now."""

    name: str | None = None
    kind: Kind | None = None
    strength: float | None = None
    always_load: Sequence[str] | None = None
    add: Sequence[Given] = ()
    replace: Sequence[Replaced] = ()
    remove: Sequence[str] = ()
    valid_from: float | None = None


class Editor:
    def __init__(
        self,
        register: Register,
        ledger: Ledger,
        clock: Callable[[], float],
        randomness: Random,
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._register = register
        self._ledger = ledger
        self._clock = clock
        self._randomness = randomness

    async def create(
        self,
        owner: str,
        *,
        kind: Kind,
        name: str,
        strength: float = 0.5,
        always_load: Sequence[str] = (),
        statements: Sequence[Given] = (),
        valid_from: float | None = None,
        idempotency_key: str | None = None,
    ) -> View:
        """The new entity; with a key, that of the first call with it.

        Raises `BadRequest` for a key that made another one, `TooLarge`.
        """
        at = self._now() if valid_from is None else valid_from
        id, redactor = self._id(owner, idempotency_key), await self._redaction.of(owner)
        operation = Create(
            entity=id,
            kind=kind,
            name=_redacted(name, MAX_NAME, "name", redactor),
            valid_from=at,
            strength=strength,
            always_load=list(always_load),
            statements=[self._told(one, at, FACTS, redactor) for one in statements],
        )
        try:
            await self._ledger.commit(owner, doing([operation], {id: 0}, at))
        except Contested:
            if idempotency_key is None:
                raise
            await self._check_same(owner, operation)
        return await self._view(owner, id, at)

    async def edit(self, owner: str, id: str, version: int, changes: Changes) -> View:
        """The entity after. Raises `NotFound`, `BadRequest`, `TooLarge`, and `Contested` unless
        `version` is the current one."""
        at = self._now() if changes.valid_from is None else changes.valid_from
        history = await self._register.history(owner, id)
        content = await self._register.content(owner, id, history.current)
        if content.valid_to is not None:
            raise missing()
        blocks = {one.id: one.block for one in content.statements}
        redactor = await self._redaction.of(owner)
        operations = self._operations(id, changes, at, blocks, redactor)
        if not operations:
            raise BadRequest("Give something to change.")
        await self._ledger.commit(owner, doing(operations, {id: version}, at))
        return await self._view(owner, id, at)

    async def end(self, owner: str, id: str, version: int | None = None) -> Commit:
        """Raises `NotFound`, `Contested` where a `version` is given that is not the current one."""
        history, at = await self._register.history(owner, id), self._now()
        content = await self._register.content(owner, id, history.current)
        if content.valid_to is not None:
            raise missing()
        base = {id: history.current if version is None else version}
        return await self._ledger.commit(owner, doing([End(entity=id, at=at)], base, at))

    def _operations(
        self, id: str, changes: Changes, at: float, blocks: dict[str, str], redactor: Redactor
    ) -> list[Operation]:
        name = changes.name
        adjusted = Adjust(
            entity=id,
            name=None if name is None else _redacted(name, MAX_NAME, "name", redactor),
            kind=changes.kind,
            strength=changes.strength,
            always_load=None if changes.always_load is None else list(changes.always_load),
        )
        operations: list[Operation] = [adjusted] if adjusted != Adjust(entity=id) else []
        for one in changes.replace:
            told = self._told(one.given, at, blocks.get(one.statement, FACTS), redactor)
            operations.append(Replace(entity=id, replaces=one.statement, statement=told))
        operations += [Remove(entity=id, statement=one, at=at) for one in changes.remove]
        told_now = (self._told(one, at, FACTS, redactor) for one in changes.add)
        operations += [Add(entity=id, statement=one) for one in told_now]
        return operations

    def _told(self, given: Given, at: float, block: str, redactor: Redactor) -> Told:
        begins = at if given.valid_from is None else given.valid_from
        if given.valid_to is not None and given.valid_to <= begins:
            raise BadRequest("A statement's 'valid_to' is later than it begins.", param="valid_to")
        return Told(
            id=new_id(self._clock(), self._randomness.getrandbits, "s"),
            block=given.block or block,
            text=_redacted(given.text, MAX_TEXT, "text", redactor),
            valid_from=begins,
            valid_to=given.valid_to,
            sources=list(given.sources),
        )

    def _now(self) -> float:
        return whole_milliseconds(self._clock())

    def _id(self, owner: str, key: str | None) -> str:
        """With a key the same one every time: a repeated call finds what the first one made."""
        if key is None:
            return new_id(self._clock(), self._randomness.getrandbits, "e")
        id = "e" + content_hash(owner, "entity", key, ())
        assert is_entity(id)  # noqa: S101  both are sixteen digits
        return id

    async def _check_same(self, owner: str, operation: Create) -> None:
        first = await self._register.content(owner, operation.entity, 1)
        made = (first.kind, first.name, [one.text for one in first.statements])
        asked = (operation.kind, operation.name, [one.text for one in operation.statements])
        if made != asked:
            raise BadRequest(
                "This Idempotency-Key made another entity.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )

    async def _view(self, owner: str, id: str, at: float) -> View:
        """As of now, or of the change where that lies in the future."""
        return await self._register.get(owner, id, as_of=max(at, self._clock()))


def _redacted(text: str, most: int, param: str, redactor: Redactor) -> str:
    """Raises `TooLarge` where what stands for what was taken out leaves no room."""
    if len(kept := redactor.text(text)) > most:
        raise TooLarge(f"With its redactions this takes more than {most} characters.", param=param)
    return kept


def doing(operations: Sequence[Operation], base: dict[str, int], at: float) -> Change:
    return Change(
        base=base,
        make=lambda contents, numbers: all_applied(contents, operations, numbers),
        valid_from=at,
        operations=len(operations),
    )
