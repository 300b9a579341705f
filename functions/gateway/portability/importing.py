"""An import: items of whatever format become messages of one owner's memory, some at a time.

Whose memory it is, the caller decides, never the file. At most one batch of it is held; what is
refused is told with its line and takes nothing else with it. Interrupted anywhere, the same import
may be sent again: what is there already stays as it is.
"""

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.entities.restoration import EntityRestoration
from gateway.errors import GatewayError
from gateway.memory.records import (
    TIME_DIGITS,
    Record,
    content_hash,
    new_id,
    owner_path,
)
from gateway.memory.restoration import Batch, Restoration
from gateway.memory.returning import Facts, Returning
from gateway.memory.segments import MESSAGE_BYTES, size
from gateway.portability.histories import Histories
from gateway.portability.items import (
    Aside,
    Committed,
    End,
    Header,
    Item,
    Malformed,
    Refused,
    Said,
    Session,
    Skipped,
    Version,
)
from gateway.portability.report import Report
from gateway.redaction.extras import redacted_extras
from gateway.redaction.redactor import Redactor

MAX_MESSAGES = 500
MAX_SESSIONS = 16  # a head may take 200 KiB, Firestore's commit 10 MiB
MAX_BYTES = 1024 * 1024
LAST_STAMP = (1 << 5 * TIME_DIGITS) / 1000 - 1

Count = Callable[[str, str, Mapping[str, Any]], int]
"""Tokens of a message, from its role, its content and its extras."""


class Import:
    """One import, into the memory of `owner`."""

    def __init__(
        self,
        owner: str,
        restoration: Restoration,
        entities: EntityRestoration,
        count: Count,
        clock: Callable[[], float],
        redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor or Redactor(enabled=False)
        self._owner = owner
        self._restoration = restoration
        self._count = count
        self._now = clock()
        self._own_hashes = False
        self._messages: list[Returning] = []
        self._facts: dict[str, Facts] = {}
        self._names: set[str] = set()
        self._bytes = 0
        self.report = Report()
        self._histories = Histories(entities, self.report)

    async def take(self, items: AsyncIterable[Item]) -> Report:
        """Raises what the store or the body raises, with what was stored before in its message."""
        try:
            async for item in items:
                await self._item(item)
            await self._flush(len(self._messages))
            await self._histories.flush()
        except GatewayError as error:
            error.message += (
                f" Of this import {self.report.told()} are stored; sent again, it goes on."
            )
            raise
        return self.report

    async def _item(self, item: Item) -> None:
        match item:
            case Header():
                own = owner_path(self._owner).rpartition("/")[2]
                self._own_hashes, self.report.whole = item.owner_hash == own, False
            case End():
                self.report.whole = True
            case Session():
                facts = Facts(
                    item.id, self._redactor.text(item.title), item.created_at, item.updated_at
                )
                await self._make_room(item.id, 0)
                self._facts.setdefault(item.id, facts)
                self._names.add(item.id)
            case Said():
                await self._said(item)
            case Skipped():
                self.report.skipped += 1
            case Refused():
                self.report.refuse(item)
            case Version():
                await self._histories.version(self._redacted(item))
            case Committed():
                await self._histories.commit(item)
            case Aside():
                pass

    def _redacted(self, version: Version) -> Version:
        redactor, content = self._redactor, version.returning.content
        told = [replace(one, text=redactor.text(one.text)) for one in content.statements]
        name = redactor.text(content.name)
        content = replace(content, name=name, statements=tuple(told))
        return replace(version, returning=replace(version.returning, content=content))

    async def _said(self, said: Said) -> None:
        self.report.read += 1
        try:
            record = self._record(said)
        except Malformed as error:
            self.report.refuse(Refused(said.line, str(error), "message_too_large"))
            return
        weight = size(record)
        await self._make_room(said.session, weight)
        self._messages.append(Returning(record, said.session, said.archived))
        self._names.add(said.session or "")
        self._bytes += weight

    async def _make_room(self, session: str | None, weight: int) -> None:
        """Commit what is held where this would be too much, cut between turns if one is near."""
        more = (session or "") not in self._names
        full = len(self._messages) >= MAX_MESSAGES or self._bytes + weight > MAX_BYTES
        if full or (more and len(self._names) >= MAX_SESSIONS):
            await self._flush(self._cut() if full else len(self._messages))

    def _cut(self) -> int:
        """Where the last turn begins, so that a question stays with its answer."""
        end = len(self._messages)
        for place in range(end - 1, end // 2, -1):
            one = self._messages[place]
            if one.record.role == "user" or one.session != self._messages[place - 1].session:
                return place
        return end

    async def _flush(self, end: int) -> None:
        batch = Batch(self._messages[:end], list(self._facts.values()))
        if batch.messages or batch.sessions:
            self.report.count(await self._restoration.restore(batch))
        self._messages = self._messages[end:]
        self._facts = {}
        self._names = {one.session or "" for one in self._messages}
        self._bytes = sum(size(one.record) for one in self._messages)

    def _record(self, said: Said) -> Record:
        """Raises `Malformed` for what no document could hold."""
        hash = content_hash(self._owner, said.role, said.content, _tool_ids(said.extras))
        content, extras = (
            self._redactor.text(said.content),
            redacted_extras(said.extras, self._redactor),
        )
        record = Record(
            id=said.id or self._id(said),
            session="",
            sequence=said.sequence,
            parent=said.parent,
            role=said.role,
            content=content,
            tokens=self._count(said.role, content, extras),
            at=self._now if said.at is None else said.at,
            hash=said.hash if said.hash and self._own_hashes else hash,
            state=said.state,
            interrupted=said.interrupted,
            expires_at=said.expires_at,
            pin=said.pin,
            metadata=self._redactor.value(said.metadata),
            extras=extras,
            receipt=said.receipt,
        )
        if size(record) > MESSAGE_BYTES - len(said.session or ""):
            raise Malformed(f"A message may take {MESSAGE_BYTES // 1024} KiB to be remembered.")
        return record

    def _id(self, said: Said) -> str:
        """The same for the same message of the same file, whenever it is imported."""
        named = (said.session or "", said.name, said.role, str(said.at), said.content)
        digest = int(content_hash(self._owner, "import", "", named), 32)
        stamp = min(max(said.at or 0.0, 0.0), LAST_STAMP)
        return new_id(stamp, lambda bits: digest % (1 << bits))


def _tool_ids(extras: Mapping[str, Any]) -> tuple[str, ...]:
    """As a chat's message is hashed, so that a resent history still aligns."""
    ids = [str(call.get("id")) for call in extras.get("tool_calls", ())]
    if extras.get("tool_call_id"):
        ids.append(str(extras["tool_call_id"]))
    return (*ids, *(medium["digest"] for medium in extras.get("media", ())))
