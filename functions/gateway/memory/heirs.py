"""Who carries a turn's receipt on when the message that carried it goes. Pure.

A receipt stands on the first message that its turn stored; when that one is deleted or archived,
the next one of the turn carries it, so that it is found as long as anything of the turn stands.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway.memory.records import Record, made_at_milliseconds
from gateway.memory.segments import MESSAGE_BYTES, size


def bequeathed(records: Sequence[Record], leaving: Collection[str]) -> list[Record]:
    """The records, with the receipts of those `leaving` on the next of their turn that stays."""
    after = list(records)
    for place, record in enumerate(records):
        if record.receipt is None or record.id not in leaving:
            continue
        heir = _heir(records, place, leaving)
        if heir is not None:
            after[place] = replace(record, receipt=None)
            after[heir] = replace(records[heir], receipt=record.receipt)
    return after


def _heir(records: Sequence[Record], place: int, leaving: Collection[str]) -> int | None:
    carrier = records[place]
    for i in range(place + 1, len(records)):
        one = records[i]
        if one.session != carrier.session:
            continue
        if not _of_one_turn(carrier, one):
            return None
        if one.id not in leaving and _holds(replace(one, receipt=carrier.receipt)):
            return i
    return None


def _of_one_turn(carrier: Record, one: Record) -> bool:
    """What a turn asked was made in its receipt's millisecond; answers follow. A receipt of its own
    begins another turn."""
    if one.receipt is not None or carrier.receipt is None:
        return False
    asked_at = made_at_milliseconds(str(carrier.receipt["id"]))
    return one.role == "assistant" or made_at_milliseconds(one.id) == asked_at


def _holds(record: Record) -> bool:
    return size(record) <= MESSAGE_BYTES
