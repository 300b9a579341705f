"""What was counted on days past, by day: from their own documents, or what became of them.

A day's document is rolled up after it (`rollup.py`) and deleted later; how far that has come tells
which of the two to read, so that a day costs one read.
"""

from collections.abc import Callable, Sequence

from gateway.accounts.usage import Totals
from gateway.documents.base import Document, Documents
from gateway.limits.quota import path_of
from gateway.limits.recent import Recent
from gateway.limits.rollup import PROGRESS_PATH, SETTLED_SECONDS
from gateway.limits.window import DAY_SECONDS, bucket_at, day_name, day_of, first_of_month

PROGRESS_SECONDS = 600.0
MONTHS_KEPT = 2_048

Days = list[tuple[int, Document | None]]


class History:
    """`name` is a counted document's: `subjects/<digest>` or `keys/<id>`."""

    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock
        self._rolled = -1
        self._asked_at = -PROGRESS_SECONDS
        self._months: Recent[Totals] = Recent(MONTHS_KEPT)

    async def days(self, name: str, days: Sequence[int]) -> Days:
        """Their documents, None for a day without use. A read each."""
        if not days:
            return []
        rolled = await self._rolled_up()
        paths = [
            f"usage/{day_name(day)}/{name}" if day <= rolled else path_of(day, name) for day in days
        ]
        return list(zip(days, await self._documents.get(*paths), strict=True))

    async def month_before(self, name: str, now: float) -> Totals:
        """What the month came to before today: read once a day, and once more when the turns that
        were under way at midnight have been settled."""
        today = day_of(bucket_at(now))
        settled = now - today * DAY_SECONDS > SETTLED_SECONDS
        cached = f"{today} {settled} {name}"
        if (known := self._months.get(cached)) is not None:
            return known
        found = await self.days(name, range(first_of_month(today), today))
        totals = Totals.sum(Totals.of(one.fields) for _, one in found if one)
        self._months.set(cached, totals)
        return totals

    def month_known(self, name: str, now: float) -> Totals:
        """As far as it has been read."""
        today = day_of(bucket_at(now))
        known = (self._months.get(f"{today} {settled} {name}") for settled in (True, False))
        return next((one for one in known if one is not None), Totals())

    async def _rolled_up(self) -> int:
        """The last day that is rolled up, as it was ten minutes ago at the latest."""
        now = self._clock()
        if now >= self._asked_at + PROGRESS_SECONDS:
            found = (await self._documents.get(PROGRESS_PATH))[0]
            self._rolled = found.fields["rolled"] if found else -1
            self._asked_at = now
        return self._rolled
