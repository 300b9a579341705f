"""A store that fails as a network does: before a commit, after it, or with it still under way."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Literal

from gateway.documents.base import (
    Conflict,
    Document,
    Documents,
    StoreUnavailable,
    Write,
    Written,
)

PATIENCE_SECONDS = 20.0
Outcome = Literal["refused", "unanswered", "late", "overtaken", "away", "cut off"]
"""`refused`: not applied. `unanswered`: applied, but nobody hears of it. `late`: applied when the
next commit comes, just before that; `overtaken`: just after. `away`: not applied, `cut off`:
applied, and every call after fails until `away` is taken back."""


class Unreliable:
    """Its next commits end as `outcomes` tell, the rest well. `calls` names what it was asked."""

    def __init__(self, inner: Documents, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[str] = []
        self.away = False
        self._inner = inner
        self._late: list[Sequence[Write]] = []
        self._overtaken: list[Sequence[Write]] = []

    async def get(self, *paths: str) -> list[Document | None]:
        self._called("get")
        return await self._inner.get(*paths)

    async def commit(self, *writes: Write) -> list[Written]:
        self._called("commit")
        await self._arrive(self._late)
        match self.outcomes.pop(0) if self.outcomes else None:
            case "unanswered":
                await self._inner.commit(*writes)
            case "late":
                self._late.append(writes)
            case "overtaken":
                self._overtaken.append(writes)
            case "away":
                self.away = True
            case "cut off":
                await self._inner.commit(*writes)
                self.away = True
            case None:
                written = await self._inner.commit(*writes)
                await self._arrive(self._overtaken)
                return written
        raise StoreUnavailable

    async def _arrive(self, under_way: list[Sequence[Write]]) -> None:
        """Nobody waits for these any more."""
        while under_way:
            with contextlib.suppress(Conflict):
                await self._inner.commit(*under_way.pop())

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        self._called("list")
        return await self._inner.list(
            collection, after=after, before=before, limit=limit, newest_first=newest_first
        )

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        self._called("delete_tree")
        return await self._inner.delete_tree(path, limit=limit)

    async def close(self) -> None:
        await self._inner.close()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable


class Silent(Unreliable):
    """Answers no commit until `give_up`, which fails those that wait; reads are answered."""

    def __init__(self, inner: Documents) -> None:
        super().__init__(inner)
        self._waiting: list[asyncio.Future[list[Written]]] = []
        self._changed = asyncio.Condition()

    async def commit(self, *_: Write) -> list[Written]:
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        async with self._changed:
            self._waiting.append(answer)
            self._changed.notify_all()
        return await answer

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) == count)

    def give_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.set_exception(StoreUnavailable())
