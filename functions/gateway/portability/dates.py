"""When something was said, as files tell it: epoch seconds, ISO 8601, or as people write. Pure."""

import re
from datetime import UTC, datetime
from math import isfinite

from gateway.portability.items import Malformed

MONTHS = (
    ("january", "jan"),
    ("february", "feb"),
    ("march", "mar"),
    ("april", "apr"),
    ("may",),
    ("june", "jun"),
    ("july", "jul"),
    ("august", "aug"),
    ("september", "sep", "sept"),
    ("october", "oct"),
    ("november", "nov"),
    ("december", "dec"),
)
MILLISECONDS_FROM = 3e11  # datetimes end in the year 9999, at 2.6e11 seconds
WRITTEN = re.compile(
    r"(?:(?P<hour>\d{1,2}):(?P<minute>\d{2})\s*(?P<half>[ap]m)?\s*(?:on)?[\s,]*)?"
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+(?P<month>[a-z]{3,9})"
    r"|(?P<month_first>[a-z]{3,9})\s+(?P<day_after>\d{1,2})(?:st|nd|rd|th)?)\.?,?\s+(?P<year>\d{4})"
    r"(?:[\s,]+(?:at\s+)?(?P<hour_after>\d{1,2}):(?P<minute_after>\d{2})\s*(?P<half_after>[ap]m)?)?",
    re.IGNORECASE,
)
LONGEST = 64


def moment(value: object) -> float | None:
    """Epoch seconds; None for nothing. A time without a zone is UTC. Raises `Malformed`."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(float(value))
    if isinstance(value, str) and len(value) <= LONGEST:
        return _text(value.strip())
    raise Malformed("A date is epoch seconds, an ISO 8601 time or written out in English.")


def _number(value: float) -> float:
    seconds = value / 1000 if abs(value) > MILLISECONDS_FROM else value
    if not isfinite(seconds) or abs(seconds) > MILLISECONDS_FROM:
        raise Malformed("A date is out of bounds.")
    return seconds


def _text(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _written(text)
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        raise Malformed("A date is out of bounds.") from None


def _written(text: str) -> datetime:
    """`1:56 pm on 8 May, 2023`, `8 May 2023`, `May 8, 2023 at 13:56`."""
    found = WRITTEN.fullmatch(text)
    name = (found["month"] or found["month_first"]).lower() if found else ""
    month = next((n for n, names in enumerate(MONTHS, start=1) if name in names), 0)
    if found is None or not month:
        raise Malformed("A date is epoch seconds, an ISO 8601 time or written out in English.")
    day, hour = found["day"] or found["day_after"], found["hour"] or found["hour_after"] or "0"
    minute, half = found["minute"] or found["minute_after"] or "0", found["half"]
    half = (half or found["half_after"] or "").lower()
    hours = int(hour) % 12 + 12 * (half == "pm") if half else int(hour)
    try:
        return datetime(int(found["year"]), month, int(day), hours, int(minute), tzinfo=UTC)
    except ValueError:
        raise Malformed("There is no such date.") from None
