"""Counting what comes at once in one write.

Firestore takes about one write a second to a document, more in short bursts; beyond that writes
queue there until their deadline. So while a subject's write is on its way, further ones wait and go
together in the next. To each caller it looks as if the writes had been applied one after another
in the order they came, which in one commit they may as well have been.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.documents.base import Add, Written
from gateway.limits.base import Counters

Field = tuple[str, str]
"""A path and the name of a field there."""


@dataclass(frozen=True, slots=True)
class _Caller:
    writes: Sequence[Add]
    answer: asyncio.Future[list[Written]]

    def resolve(self, written: list[Written] | BaseException) -> None:
        if self.answer.done():  # the caller was cancelled
            return
        if isinstance(written, BaseException):
            self.answer.set_exception(written)
        else:
            self.answer.set_result(written)


@dataclass(slots=True)
class _Line:
    """Those who wait for the next write, and the task that writes until there are none."""

    waiting: list[_Caller] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None


class MergedCounters:
    """Calls belong together when their first write has the same path.

    A write that fails fails all who are in it; who came later is in the next. So a call ends within
    two deadlines of the store.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._lines: dict[str, _Line] = {}

    async def commit(self, *writes: Add) -> list[Written]:
        """As `Documents.commit`, for increments alone."""
        caller = _Caller(writes, asyncio.get_running_loop().create_future())
        name = writes[0].path
        line = self._lines.setdefault(name, _Line())
        line.waiting.append(caller)
        if line.writing is None:  # a task of its own: a caller that is cancelled takes nobody along
            line.writing = asyncio.create_task(self._write(name, line))
        return await caller.answer

    async def _write(self, name: str, line: _Line) -> None:
        try:
            while line.waiting:
                callers, line.waiting = line.waiting, []
                await self._write_once(callers)
        finally:
            del self._lines[name]

    async def _write_once(self, callers: Sequence[_Caller]) -> None:
        try:
            merged = _merged([write for caller in callers for write in caller.writes])
            written = await self._counters.commit(*merged)
        except BaseException as error:
            for caller in callers:
                caller.resolve(error)
            if not isinstance(error, Exception):
                raise
            return
        if len(callers) == 1 and len(merged) == len(callers[0].writes):
            callers[0].resolve(written)
            return
        after = {write.path: answer for write, answer in zip(merged, written, strict=True)}
        for caller, answer in zip(callers, _answers(callers, after), strict=True):
            caller.resolve(answer)


def _merged(writes: Sequence[Add]) -> list[Add]:
    """One write for each path. What somebody counts or reads, nobody drops."""
    by_path = defaultdict[str, list[Add]](list)
    for write in writes:
        by_path[write.path].append(write)
    return [_sum(adds) for adds in by_path.values()]


def _sum(adds: Sequence[Add]) -> Add:
    if len(adds) == 1:
        return adds[0]
    amounts = defaultdict[str, float](int)
    for add in adds:
        for name, amount in add.amounts.items():
            amounts[name] += amount
    dropped = dict.fromkeys(name for add in adds for name in add.drop if name not in amounts)
    labels = {name: label for add in adds for name, label in add.labels.items()}
    return Add(adds[0].path, dict(amounts), tuple(dropped), adds[0].expires_at, labels)


def _answers(callers: Sequence[_Caller], after: dict[str, Written]) -> list[list[Written]]:
    """What each caller would have read, had they written one by one: from the last one back."""
    values = {
        (path, name): value
        for path, written in after.items()
        for name, value in written.values.items()
    }
    answers = []
    for caller in reversed(callers):
        answers.append([_answer(write, after[write.path], values) for write in caller.writes])
        for write in caller.writes:
            for name, amount in write.amounts.items():
                values[write.path, name] -= amount
    return answers[::-1]


def _answer(write: Add, written: Written, values: dict[Field, float]) -> Written:
    return Written(written.version, {name: values[write.path, name] for name in write.amounts})
