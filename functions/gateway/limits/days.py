"""What each identity used on a day, and all of them together, as the limiter counted it.

The last days stand in the limiter's own documents, those before them in what the rollup kept. A day
that is not rolled up yet is added up when asked for, within a bound on what is read.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from gateway.documents.base import Document, Documents
from gateway.limits.window import DAYS_KEPT, SUBJECT, bucket_at, day_name, day_of

BUCKET = re.compile(r"[a-z][0-9]+")
PAGE = 50  # a day's document may take 150 KB
MOST_ADDED = 2_000  # documents, of what one answer adds up
EPOCH = date(1970, 1, 1)

Totals = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Used:
    """One identity's day. `subject` is None on days counted before names were kept."""

    id: str
    subject: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class Day:
    """`complete` is False where there were more identities than one answer adds up."""

    name: str
    totals: Totals = field(default_factory=dict)
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
        """The last `count` days of one identity, the newest first. A read for each."""
        names = self._last(count)
        found = await self._documents.get(*(f"{self._source(name)}/{id}" for name in names))
        pairs = zip(names, found, strict=True)
        return [Day(name, _totals(one.fields) if one else {}) for name, one in pairs]

    async def together(self, count: int) -> list[Day]:
        """The last `count` days, the newest first. A read for each that is rolled up."""
        names = self._last(count)
        kept = await self._documents.get(*(f"usage/{name}" for name in names))
        told, left = [], MOST_ADDED
        for name, document in zip(names, kept, strict=True):
            if document is not None:
                told.append(Day(name, _totals(document.fields)))
                continue
            day, left = await self._added_up(name, left)
            told.append(day)
        return told

    async def _added_up(self, name: str, left: int) -> tuple[Day, int]:
        """From at most `left` documents, and how many are left then."""
        sums: Counter[str] = Counter()
        after: str | None = None
        while left > 0:
            page = await self._documents.list(self._source(name), limit=PAGE, after=after)
            left -= len(page)
            for document in page:
                totals = _totals(document.fields)
                sums.update({"identities": 1 if any(totals.values()) else 0, **totals})
            if len(page) < PAGE:
                return Day(name, dict(sums)), left
            after = page[-1].id
        return Day(name, dict(sums), complete=False), left

    def _source(self, day: str) -> str:
        recent = (date.fromisoformat(day) - EPOCH).days >= self._today - DAYS_KEPT
        return f"{'limits' if recent else 'usage'}/{day}/subjects"

    def _last(self, count: int) -> list[str]:
        return [day_name(self._today - n) for n in range(count)]

    @property
    def _today(self) -> int:
        return day_of(bucket_at(self._clock()))


def _used(document: Document) -> Used:
    return Used(document.id, document.fields.get(SUBJECT), _totals(document.fields))


def _totals(fields: Mapping[str, object]) -> dict[str, float]:
    """The day's own numbers, without the window's buckets."""
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, int | float) and name != "schema" and not BUCKET.fullmatch(name)
    }
