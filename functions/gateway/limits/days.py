"""What each identity used on a day, and all of them together, as the limiter counted it.

The last days stand in the limiter's own documents, those before them in what the rollup kept. A day
that is not rolled up yet is added up when asked for, within a bound on what is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from gateway.accounts.usage import Totals
from gateway.documents.base import Document, Documents
from gateway.limits.window import DAYS_KEPT, SUBJECT, bucket_at, day_name, day_of

PAGE = 50  # a day's document may take 150 KB
MOST_ADDED = 2_000  # documents, of what one answer adds up
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Used:
    """One identity's day. `subject` is None on days counted before names were kept."""

    id: str
    subject: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class Day:
    """`complete` is False where there were more identities than one answer adds up; `identities`
    is None of one identity's day."""

    name: str
    totals: Totals
    identities: int | None = None
    complete: bool = True


class Days:
    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock

    @property
    def today(self) -> str:
        return day_name(self._today)

    async def identities(
        self, day: str, *, limit: int, after: str | None = None
    ) -> tuple[list[Used], str | None]:
        """A page of the day's identities in the order of ids, and where the next one begins."""
        found = await self._documents.list(self._source(day), limit=limit + 1, after=after)
        page = found[:limit]
        return [_used(one) for one in page], page[-1].id if len(found) > limit else None

    async def of(self, id: str, count: int) -> list[Day]:
        """The last `count` days of one identity, today's the last. A read for each."""
        names = self._last(count)
        found = await self._documents.get(*(f"{self._source(name)}/{id}" for name in names))
        pairs = zip(names, found, strict=True)
        return [Day(name, Totals.of(one.fields if one else {})) for name, one in pairs]

    async def together(self, count: int) -> list[Day]:
        """The last `count` days, today's the last. A read for each that is rolled up."""
        names = self._last(count)
        kept = await self._documents.get(*(f"usage/{name}" for name in names))
        told, left = [], MOST_ADDED
        for name, document in reversed(list(zip(names, kept, strict=True))):
            if document is None:
                day, left = await self._added_up(name, left)
            else:
                identities = int(document.fields.get("identities", 0))
                day = Day(name, Totals.of(document.fields), identities)
            told.append(day)
        return told[::-1]

    async def _added_up(self, name: str, left: int) -> tuple[Day, int]:
        """From at most `left` documents, and how many are left then."""
        found, complete = list[Totals](), False
        after: str | None = None
        while left > 0 and not complete:
            page = await self._documents.list(self._source(name), limit=PAGE, after=after)
            left -= len(page)
            found += [Totals.of(document.fields) for document in page]
            complete = len(page) < PAGE
            after = page[-1].id if page else None
        return Day(name, Totals.sum(found), sum(map(bool, found)), complete), left

    def _source(self, day: str) -> str:
        recent = (date.fromisoformat(day) - EPOCH).days >= self._today - DAYS_KEPT
        return f"{'limits' if recent else 'usage'}/{day}/subjects"

    def _last(self, count: int) -> list[str]:
        return [day_name(self._today - n) for n in reversed(range(count))]

    @property
    def _today(self) -> int:
        return day_of(bucket_at(self._clock()))


def _used(document: Document) -> Used:
    return Used(document.id, document.fields.get(SUBJECT), Totals.of(document.fields))
