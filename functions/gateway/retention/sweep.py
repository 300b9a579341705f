"""The retention sweep: every owner in turn, one in memory at a time, under a lease and a budget.

A run whose time is up leaves a cursor and the next one goes on from there. What fails for one owner
is reported and left for the next round; the others do not notice.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import orjson

from gateway.documents.base import Document, Documents
from gateway.documents.metered import MeteredDocuments
from gateway.limits.rollup import Rollup
from gateway.retention.archive import Archivist, Tally
from gateway.retention.decisions import Policy
from gateway.retention.expiry import delete_audit
from gateway.retention.lease import Lease, Progress

OWNERS = "owners"
LIMITS = "limits"
AUDIT = "audit"
LEASE_PATH = "ops/retention"
SPARE_SECONDS = 60.0  # for the owner at hand when the time is up
CHECKPOINT_SECONDS = 30.0  # at the most so much is done again after a crash

logger = logging.getLogger("gateway.retention")


@dataclass(slots=True)
class Report:
    """What a run did, or in a dry run would have done (but for `documents_read` and `seconds`).

    `archived` and `expired` are messages; `deleted` are documents past their time; `rolled_up` are
    days of a subject's usage. `failed` names hashed paths and kinds of error, never their text.
    """

    dry_run: bool
    owners: int = 0
    documents_read: int = 0
    tally: Tally = field(default_factory=Tally)
    rolled_up: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    cursor: str | None = None

    def body(self) -> dict[str, Any]:
        fields = asdict(self)
        tally = fields.pop("tally")
        return {"task": "retention", **fields, **tally}


def kind_of(error: Exception) -> str:
    """`KeyError`, `zlib.error`: what a log may say of an error, whose text may quote a message."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


@dataclass(slots=True)
class _Run:
    """A dry run has no lease. `finished` is when the last whole round ended."""

    documents: MeteredDocuments
    lease: Lease | None
    report: Report
    started: float
    checkpoint: float
    finished: float

    @property
    def progress(self) -> Progress:
        return Progress(self.report.cursor, self.finished)


class Sweep:
    def __init__(
        self,
        documents: Documents,
        clock: Callable[[], float],
        randomness: Random,
        policy: Policy,
        time_budget_seconds: float,
        told: Callable[[Report], None] | None = None,
    ) -> None:
        """`told` hears of every run that was no dry one."""
        self._told = told
        self._documents = documents
        self._clock = clock
        self._randomness = randomness
        self._policy = policy
        self._time_budget_seconds = time_budget_seconds

    async def run(self, *, dry_run: bool = False) -> Report:
        """Raises `Contested` while another run is at it, `StoreUnavailable` without a store."""
        documents = MeteredDocuments(self._documents)
        lease, now = self._lease(documents), self._clock()
        begun = await (lease.progress() if dry_run else lease.take())
        report = Report(dry_run, cursor=begun.cursor)
        run = _Run(documents, None if dry_run else lease, report, now, now, begun.finished)
        try:
            await self._isolated(run, LIMITS, self._roll_up(run))
            await self._isolated(run, AUDIT, self._clear_audit(run))
            await self._walk(run)
        finally:
            if run.lease:
                await run.lease.release(run.progress)
        report.documents_read = documents.operations.reads
        report.seconds = round(self._clock() - run.started, 3)
        if self._told is not None and not dry_run:
            self._told(report)
        return report

    async def due_in_seconds(self, every_seconds: float) -> float:
        """Until the next round should begin; at once when one is unfinished."""
        progress = await self._lease(self._documents).progress()
        if progress.cursor is not None:
            return 0.0
        return max(0.0, progress.finished + every_seconds - self._clock())

    async def _roll_up(self, run: _Run) -> None:
        dry_run = run.report.dry_run
        rollup = Rollup(run.documents, run.started, lambda: self._out_of_time(run), dry_run=dry_run)
        done = await rollup.run()
        run.report.rolled_up += done.subjects
        run.report.tally.deleted += done.deleted

    async def _clear_audit(self, run: _Run) -> None:
        dry_run = run.report.dry_run
        deleted = await delete_audit(run.documents, run.started, dry_run=dry_run)
        run.report.tally.deleted += deleted

    async def _walk(self, run: _Run) -> None:
        """At least one owner, whatever the time, so that no round stands still."""
        while found := await run.documents.list(OWNERS, after=run.report.cursor, limit=1):
            await self._isolated(run, found[0].path, self._see_to(run, found[0]))
            run.report.owners += 1
            run.report.cursor = found[0].id
            if self._out_of_time(run):
                return
            await self._check_point(run)
        run.report.cursor, run.finished = None, self._clock()

    async def _see_to(self, run: _Run, owner: Document) -> None:
        archivist = Archivist(
            run.documents,
            self._randomness,
            self._policy,
            run.started,
            run.report.tally,
            dry_run=run.report.dry_run,
        )
        await archivist.sweep(owner)

    async def _isolated(self, run: _Run, path: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            kind = kind_of(error)
            run.report.failed.append({"path": path, "error": kind})
            line = {"event": "retention_failed", "severity": "ERROR", "path": path, "error": kind}
            logger.error(orjson.dumps(line).decode())

    async def _check_point(self, run: _Run) -> None:
        if run.lease and self._clock() >= run.checkpoint + CHECKPOINT_SECONDS:
            run.checkpoint = self._clock()
            await run.lease.keep(run.progress)

    def _out_of_time(self, run: _Run) -> bool:
        return self._clock() >= run.started + self._time_budget_seconds

    def _lease(self, documents: Documents) -> Lease:
        holder = f"{self._randomness.getrandbits(64):016x}"
        seconds = self._time_budget_seconds + SPARE_SECONDS
        return Lease(documents, LEASE_PATH, self._clock, holder, seconds)
