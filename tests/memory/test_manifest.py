"""The manifest: what comes back of it, and that the owner's document stays bounded."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.base import Document
from gateway.memory import manifest
from gateway.memory.heads import Owner
from gateway.memory.manifest import SKETCH_CHARACTERS
from gateway.memory.segments import Segment
from gateway.retrieval.sketch import BYTES, Sketch
from support.memories import NOON
from support.sizes import LARGEST_DOCUMENT, firestore_bytes

SMALL_TURN_SECONDS = 10
SMALL_TURNS = 330  # of some 800 bytes, receipt included, in a segment

numbers = st.integers(0, 1 << 40)
segments = st.builds(
    Segment,
    *[numbers] * 9,
    st.integers(-(1 << 40), 1 << 40).map(lambda milliseconds: milliseconds / 1000),
    st.binary(min_size=BYTES, max_size=BYTES).map(Sketch),
)


def filled(count: int) -> list[Segment]:
    """Segments of a person who says small things day and night."""
    randomness = Random(5)
    span = SMALL_TURNS * SMALL_TURN_SECONDS * 1000
    made = [int(NOON * 1000) + n * span + randomness.randrange(span // 2) for n in range(count)]
    return [
        Segment(
            number=n,
            version=randomness.randrange(1, 60),
            count=2 * SMALL_TURNS + randomness.randrange(40),
            bytes=randomness.randrange(255_000, 262_144),
            tokens=randomness.randrange(20_000, 60_000),
            first_sequence=n * 700 + randomness.randrange(30),
            last_sequence=n * 700 + 660 + randomness.randrange(60),
            made_from=made[n],
            made_to=made[n] + span + randomness.randrange(span),
            oldest_at=(made[n] - randomness.randrange(2 * span)) / 1000,
            sketch=Sketch(randomness.randbytes(BYTES)),
        )
        for n in range(count)
    ]


def plain(found: tuple[Segment, ...] | list[Segment]) -> list[Segment]:
    return [replace(one, sketch=Sketch(b"\0")) for one in found]


@given(st.lists(segments, max_size=5))
def test_a_manifest_comes_back_as_it_was_packed(packed: list[Segment]) -> None:
    assert list(manifest.unpacked(manifest.packed(packed))) == packed


@pytest.mark.parametrize("count", [1, 97, 400])
def test_only_sketches_get_coarser(count: int) -> None:
    segments = filled(count)
    found = manifest.unpacked(manifest.packed(segments))
    assert plain(found) == plain(segments)
    assert manifest.unpacked(manifest.packed(found)) == found


def test_sketches_are_whole_up_to_ninety_five_segments() -> None:
    """24 MB of turns, some thirty thousand small ones."""
    found = manifest.unpacked(manifest.packed(filled(95)))
    assert {one.sketch.size for one in found} == {BYTES}


@pytest.mark.parametrize("count", [1_000_000 // SMALL_TURNS, 10_000, 20_000])
def test_the_owners_document_is_bounded_after_a_million_small_turns_and_more(count: int) -> None:
    owner = Owner(1 << 40, count, 9, open=("k" * 26,) * 4, segments=filled(count))
    fields = owner.packed()
    assert firestore_bytes(fields) < LARGEST_DOCUMENT
    assert len(fields["sketches"]) <= SKETCH_CHARACTERS
    found = Owner.of(Document("owners/o", fields, "1"))
    assert plain(list(found.segments)) == plain(list(owner.segments))
