"""What is left of a day's limits: the totals of each subject and key in `usage`, then nothing.

`usage/{day}` itself holds the sums over all of them, written with the day's last page. A day is
rolled up once no settlement can reach it any more, and deleted when no window can. How far both
have come stands in `ops/limits`, so that a run cut short is finished by the next. Nothing here
guards against a second run at once; the same numbers would be written twice.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from gateway.accounts.usage import Totals
from gateway.documents.base import Document, Documents, Set, Write
from gateway.limits.window import DAY_SECONDS, DAYS_KEPT, SUBJECT, bucket_at, day_name, day_of

PROGRESS_PATH = "ops/limits"
USAGE_DAYS_KEPT = 400  # by name; a day's sums stay
LOOKBACK_DAYS = 31  # of the first run
SETTLED_SECONDS = 3600.0  # after midnight; longer than any stream
PAGE = 50  # a day's document may take 150 KB
ROOMS = ("subjects", "keys")


@dataclass(frozen=True, slots=True)
class Rolled:
    """`subjects` whose day was added up, `deleted` documents of days long past."""

    subjects: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class _Progress:
    """The last days seen to, and within the next one the last document rolled up, of `room`.

    `sums` are those of its subjects up to there.
    """

    rolled: int
    cleared: int
    after: str | None = None
    room: str = ROOMS[0]
    sums: Mapping[str, int] = field(default_factory=dict)


class Rollup:
    """`out_of_time` is asked after every page."""

    def __init__(
        self,
        documents: Documents,
        now: float,
        out_of_time: Callable[[], bool],
        *,
        dry_run: bool = False,
    ) -> None:
        self._documents = documents
        self._out_of_time = out_of_time
        self._dry_run = dry_run
        self._today = day_of(bucket_at(now))
        self._settled = day_of(bucket_at(now - SETTLED_SECONDS)) - 1
        self._subjects = 0
        self._deleted = 0

    async def run(self) -> Rolled:
        progress = await self._progress()
        while progress.rolled < self._settled:
            progress = await self._rolled_up(progress)
            if self._out_of_time():
                break
        while progress.cleared < min(self._today - DAYS_KEPT - 1, progress.rolled):
            progress = await self._cleared(progress)
            if self._out_of_time():
                break
        return Rolled(self._subjects, self._deleted)

    async def _progress(self) -> _Progress:
        found = (await self._documents.get(PROGRESS_PATH))[0]
        if found is None:
            first = self._today - LOOKBACK_DAYS - 1
            return _Progress(first, first)
        fields = found.fields
        room = fields.get("room", ROOMS[0])  # earlier versions knew one, and no sums
        sums = fields.get("sums", {})
        return _Progress(fields["rolled"], fields["cleared"], fields["after"], room, sums)

    async def _rolled_up(self, progress: _Progress) -> _Progress:
        """One page of the day's documents further; its keys come after its subjects."""
        day, room = day_name(progress.rolled + 1), progress.room
        page = await self._documents.list(f"limits/{day}/{room}", after=progress.after, limit=PAGE)
        used = [document for document in page if Totals.of(document.fields)]
        if room == ROOMS[0]:
            self._subjects += len(used)
            progress = replace(progress, sums=_sums(progress.sums, used))
        expires_at = float((progress.rolled + 2 + USAGE_DAYS_KEPT) * DAY_SECONDS)
        writes = [_usage(f"{day}/{room}", document, expires_at) for document in used]
        if len(page) == PAGE:
            return await self._saved(replace(progress, after=page[-1].id), writes)
        if room != ROOMS[-1]:
            return await self._saved(replace(progress, after=None, room=ROOMS[-1]), writes)
        if progress.sums:
            writes.append(Set(f"usage/{day}", {"schema": 1, **progress.sums}))
        await self._forget(day_name(progress.rolled + 1 - USAGE_DAYS_KEPT))
        next_day = _Progress(progress.rolled + 1, progress.cleared)
        return await self._saved(next_day, writes)

    async def _forget(self, day: str) -> None:
        """Who used what on a day long past, where the store did not delete it by itself."""
        if self._dry_run:
            return
        for room in ROOMS:
            while await self._documents.delete_tree(f"usage/{day}/{room}"):
                pass

    async def _cleared(self, progress: _Progress) -> _Progress:
        """One page of the day's documents fewer, or on to the next day."""
        path = f"limits/{day_name(progress.cleared + 1)}"
        if self._dry_run:
            self._deleted += await self._count(path)
        elif deleted := await self._documents.delete_tree(path):
            self._deleted += deleted
            return progress
        return await self._saved(replace(progress, cleared=progress.cleared + 1))

    async def _count(self, path: str) -> int:
        count = 0
        for collection in (*ROOMS, "global"):
            page = await self._documents.list(f"{path}/{collection}", limit=PAGE)
            count += len(page)
            while len(page) == PAGE:
                page = await self._documents.list(
                    f"{path}/{collection}", after=page[-1].id, limit=PAGE
                )
                count += len(page)
        return count

    async def _saved(self, progress: _Progress, writes: Sequence[Write] = ()) -> _Progress:
        if not self._dry_run:
            state = Set(PROGRESS_PATH, {"schema": 1, **asdict(progress)})
            await self._documents.commit(state, *writes)
        return progress


def _usage(place: str, document: Document, expires_at: float) -> Write:
    named = {name: document.fields[name] for name in (SUBJECT,) if name in document.fields}
    fields = {"schema": 1, **named, **Totals.of(document.fields).packed()}
    return Set(f"usage/{place}/{document.id}", fields, expires_at)


def _sums(before: Mapping[str, int], used: Sequence[Document]) -> dict[str, int]:
    """`identities` beside the totals; empty for a day that nobody used."""
    sums = Counter(before)
    for document in used:
        sums.update({"identities": 1, **Totals.of(document.fields).packed()})
    return dict(sums)
