"""Days on which people used the service, for pages that show them: in the store before it starts.

Each day is counted as the limiter counts it; what is over is then rolled up as the cleanup does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.accounts.usage import Totals
from gateway.accounts.workspace import digest
from gateway.documents.base import Documents, Set
from gateway.limits.quota import path_of
from gateway.limits.rollup import Rollup
from gateway.limits.window import DAY_SECONDS, DAYS_KEPT, SUBJECT, bucket_at, day_of
from gateway.wiring.adapters import documents_from

DAYS = 30
BUSY = Totals(24, 100_000, 60_000, 21_000, 3_800, 18, 13, 55_800, 75_600, 18)
PRICE, SAVED = 3_100, 4_200  # micro-dollars an answer


def month(seed: int, today: Totals | None = None) -> list[Totals]:
    """Each day a little different, every seventh one idle; `today` is the last."""
    days = [_day(number + seed) for number in range(DAYS - 1)]
    return [*days, today or _day(DAYS + seed)]


def live(url: str, now: float, people: Mapping[str, Sequence[Totals]]) -> None:
    """By subject, their last days, today's the last. In a thread: where Playwright is, a loop runs
    in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _lived(url, now, people)).result()


async def _lived(url: str, now: float, people: Mapping[str, Sequence[Totals]]) -> None:
    documents = documents_from(url)
    for subject, days in people.items():
        await _counted(documents, now, subject, days)
    await Rollup(documents, now, lambda: False).run()
    await documents.close()


async def _counted(documents: Documents, now: float, subject: str, days: Sequence[Totals]) -> None:
    first = day_of(bucket_at(now)) - len(days) + 1
    writes = [
        Set(
            path_of(day, f"subjects/{digest(subject)}"),
            {SUBJECT: subject, **totals.packed()},
            float((day + 1 + DAYS_KEPT) * DAY_SECONDS),
        )
        for day, totals in enumerate(days, first)
        if totals
    ]
    await documents.commit(*writes)


def _day(number: int) -> Totals:
    answers = 8 + (number * 7) % 13 if number % 7 else 0
    after, saved = 1_150 * answers, 1_900 * answers + 90 * number
    return Totals(
        requests=answers + answers // 3,
        tokens=1_360 * answers,
        before=after + saved if answers else 0,
        after=after,
        completion=210 * answers,
        answers=answers,
        memories=answers * 3 // 4,
        cost=PRICE * answers,
        cost_saved=SAVED * answers,
        priced=answers,
    )
