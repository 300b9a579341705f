"""No document passes 900 KiB, whatever is said; what could is refused whole."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from gateway.chat.claims import MAX_STORED_BYTES, Claim, Claims, StoredAnswer
from gateway.documents.base import Create, Documents, Update, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import NotFound, TooLarge
from gateway.memory.alignment import Entry
from gateway.memory.fingerprints import MAX_SESSIONS, pointing
from gateway.memory.heads import APPEND_KEYS, LOG_ENTRIES, Head
from gateway.memory.records import Record, new_id, owner_path
from gateway.memory.segments import (
    MESSAGE_BYTES,
    SEGMENT_BYTES,
    TAIL_BYTES,
    describe,
    fill,
    overflow,
    size,
)
from gateway.memory.storage import segment_write
from support.memories import ALICE, NOON, Scribe, record
from support.sizes import LARGEST_DOCUMENT, firestore_bytes

KIB = 1024
CHARACTERS = {"ascii": "x", "four bytes": "𐍈", "control": "\x01", "quote": '"'}
characters = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())


class Weighing(MeteredDocuments):
    """Remembers the largest document that was written through it."""

    def __init__(self, inner: Documents) -> None:
        super().__init__(inner)
        self.largest = 0

    async def commit(self, *writes: Write) -> list[Written]:
        written = [one.fields for one in writes if hasattr(one, "fields")]
        self.largest = max(self.largest, *map(firestore_bytes, written), 0)
        return await super().commit(*writes)


@pytest.fixture
def weighing(documents: MeteredDocuments) -> Weighing:
    return Weighing(documents)


def as_long(character: str, bytes: int) -> str:
    """Text of the character that takes `bytes` as stored, or a few less."""
    stored = size(record(Random(1), "user", character * 100)) - size(record(Random(1), "user", ""))
    return character * (100 * bytes // stored)


def message(bytes: int, character: str = "x", role: str = "user") -> Record:
    """A message that takes `bytes` as stored, or a few less."""
    bare = record(Random(bytes), role, "", session="k" * 26, sequence=1 << 40, parent="m" * 17)
    return replace(bare, content=as_long(character, bytes - size(bare)))


@characters
async def test_no_document_passes_the_bound_however_long_the_turns(
    weighing: Weighing, character: str
) -> None:
    """Tails filled to their bound, then the largest messages that are taken, in one turn too."""
    scribe = Scribe(weighing)
    for n in range(9):
        await scribe.append(f"s{n % 3}", *scribe.turn("?", as_long(character, 50 * KIB)))
    largest = as_long(character, MESSAGE_BYTES - KIB)
    turn = scribe.turn(largest, largest)
    await scribe.append("s0", *turn, scribe.record("tool", largest))
    await scribe.append("s0", *scribe.turn("and then?"))
    assert weighing.largest < LARGEST_DOCUMENT
    told = await scribe.texts("s0")
    assert told[6:] == [largest, largest, largest, "and then?", "Noted."]


@characters
async def test_a_megabyte_in_one_message_is_refused_and_nothing_of_its_turn_is_stored(
    documents: MeteredDocuments, scribe: Scribe, character: str
) -> None:
    with pytest.raises(TooLarge) as refusal:
        await scribe.append("s", *scribe.turn("small", as_long(character, KIB * KIB)))
    assert refusal.value.code == "message_too_large"
    assert documents.reset().writes == 0
    with pytest.raises(NotFound):
        await scribe.log.messages(ALICE, "s")


async def test_a_megabyte_in_three_messages_of_one_turn_is_stored_whole(scribe: Scribe) -> None:
    asked, answer = scribe.turn("x" * 350_000, "y" * 350_000)
    await scribe.append("s", asked, answer, scribe.record("tool", "z" * 350_000))
    assert [len(text) for text in await scribe.texts("s")] == [350_000] * 3


@characters
def test_a_full_head_is_within_the_bound(character: str) -> None:
    head = Head(
        session="~" * 200,
        title=character * 80,
        requests=[new_id(NOON, Random(n).getrandbits, "k") for n in range(APPEND_KEYS)],
        log=[Entry("h" * 16, "m" * 17, "assistant", True, 1 << 40) for _ in range(LOG_ENTRIES)],
        tail=full_tail(character),
        block={"for": "h" * 16, "text": as_long(character, 256 * KIB)},
        usage={"prompt_tokens": 1 << 40, "cached_tokens": 1 << 40, "cut": True},
    )
    assert sum(map(size, head.tail)) > TAIL_BYTES - 16 * KIB
    assert firestore_bytes(head.packed()) < LARGEST_DOCUMENT


def full_tail(character: str) -> Sequence[Record]:
    """As much as a tail keeps: nothing leaves it yet."""
    messages = [message(6 * KIB, character) for _ in range(TAIL_BYTES // (6 * KIB))]
    leaving, tail = overflow(messages)
    assert not leaving
    return tail


@characters
@pytest.mark.parametrize("bytes", [300, 40 * KIB, SEGMENT_BYTES, MESSAGE_BYTES])
def test_a_full_segment_is_within_the_bound_also_once_every_message_left_its_branch(
    character: str, bytes: int
) -> None:
    messages = [message(bytes, character) for _ in range(2 * MESSAGE_BYTES // bytes)]
    for filled in fill(messages, None, []):
        left = [replace(one, state="superseded", interrupted=True) for one in filled.records]
        rewritten = describe(filled.segment.number, 1 << 40, left)
        write = segment_write(owner_path(ALICE), rewritten)
        assert firestore_bytes(getattr(write, "fields")) < LARGEST_DOCUMENT  # noqa: B009


def test_a_full_pointer_is_within_the_bound() -> None:
    write = pointing("p", None, "~" * 200)
    assert isinstance(write, Create | Update)
    assert firestore_bytes(write.fields) * MAX_SESSIONS < LARGEST_DOCUMENT


def test_a_kept_answer_is_within_the_bound_and_a_larger_one_is_not_kept(
    documents: MeteredDocuments,
) -> None:
    claims = Claims(documents, lambda: NOON)
    for bytes, kept in ((MAX_STORED_BYTES, True), (MAX_STORED_BYTES + 1, False)):
        answer = StoredAnswer(200, {"content-type": "application/json"}, b"\xff" * bytes)
        write = claims.kept(Claim("p", "d" * 64), answer)
        assert ("body" in write.fields) is kept
        assert firestore_bytes(write.fields) < LARGEST_DOCUMENT
