"""The entities of an import, some at a time: versions and the commits that tell of them."""

from gateway.entities.commits import Commit
from gateway.entities.restoration import EntityRestoration
from gateway.entities.returning import Batch, Returning
from gateway.portability.items import Committed, Version
from gateway.portability.report import Report

MAX_DOCUMENTS = 150
MAX_ENTITIES = 40  # the marks of one's versions may take 120 KiB, Firestore's commit 10 MiB
MAX_BYTES = 1024 * 1024
COMMIT_BYTES = 200
CHANGE_BYTES = 40


class Histories:
    """What is held at most is one batch, which one commit of the store takes."""

    def __init__(self, restoration: EntityRestoration, report: Report) -> None:
        self._restoration = restoration
        self._report = report
        self._versions: list[Returning] = []
        self._commits: list[Commit] = []
        self._entities: set[str] = set()
        self._bytes = 0

    async def version(self, item: Version) -> None:
        one = item.returning
        if one.entity not in self._entities and len(self._entities) >= MAX_ENTITIES:
            await self.flush()
        await self._make_room(len(one.content.packed()))
        self._versions.append(one)
        self._entities.add(one.entity)

    async def commit(self, item: Committed) -> None:
        await self._make_room(COMMIT_BYTES + CHANGE_BYTES * len(item.commit.changes))
        self._commits.append(item.commit)

    async def flush(self) -> None:
        batch = Batch(self._versions, self._commits)
        self._versions, self._commits, self._entities, self._bytes = [], [], set(), 0
        if batch.versions or batch.commits:
            self._report.count_entities(await self._restoration.restore(batch))

    async def _make_room(self, weight: int) -> None:
        full = len(self._versions) + len(self._commits) >= MAX_DOCUMENTS
        if full or self._bytes + weight > MAX_BYTES:
            await self.flush()
        self._bytes += weight
