"""What a call costs beside the work it asks for: the way there and back, and both servers. Pure.

A deadline that is passed along runs from its arrival; ours runs from before that.
"""

FIRST_SECONDS = 0.2  # another continent, until it is measured
WEIGHT = 0.2  # of the newest measurement in the average
LARGEST_SHARE = 0.5  # of the patience: the rest is for the work


class Overhead:
    """An exponential average, in seconds."""

    def __init__(self) -> None:
        self._seconds = FIRST_SECONDS

    def within(self, patience_seconds: float) -> float:
        return min(self._seconds, LARGEST_SHARE * patience_seconds)

    def measured(self, round_trip_seconds: float, work_seconds: float) -> None:
        """`work_seconds` is what the other side says: no more of it is believed than passed."""
        beside = max(0.0, round_trip_seconds - max(0.0, work_seconds))
        self._seconds += WEIGHT * (beside - self._seconds)

    def missed(self, patience_seconds: float) -> None:
        """Nothing came in time, though the way was taken off: it may be longer than believed."""
        longer = max(FIRST_SECONDS, 2 * self._seconds)
        self._seconds = min(longer, LARGEST_SHARE * patience_seconds)
