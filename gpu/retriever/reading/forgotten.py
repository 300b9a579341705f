"""Owners who were forgotten lately: what comes late for what they had before is not read."""

from collections import OrderedDict

MOST_FORGOTTEN = 10_000  # owners


class Forgotten:
    """For as long as anything may be kept elsewhere; more than `MOST_FORGOTTEN` nowhere. Times are
    monotonic seconds. Not safe for threads."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, tuple[int, float]] = OrderedDict()  # epoch, until when

    def note(self, owner: str, epoch: int, until: float) -> None:
        """A forgetting that was held up lowers no epoch."""
        before, _ = self._owners.pop(owner, (0, 0.0))
        self._owners[owner] = max(before, epoch), until
        while len(self._owners) > MOST_FORGOTTEN:
            self._owners.popitem(last=False)

    def covers(self, owner: str, epoch: int, now: float) -> bool:
        """Whether memory of this epoch is not to be read any more."""
        first, until = self._owners.get(owner, (0, 0.0))
        return epoch < first and now <= until
