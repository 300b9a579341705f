"""Documents of an older schema are read and written on; those of a newer one are not guessed at."""

import base64
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson
import pytest

from gateway.documents.base import Document, Set
from gateway.documents.metered import MeteredDocuments
from gateway.memory import fingerprints
from gateway.memory.heads import Owner
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.records import Record, owner_path, session_path
from gateway.memory.segments import Segment
from gateway.memory.storage import read_segment, segment_path
from gateway.memory.upgrades import SCHEMA, NewerSchema, current
from gateway.portability.erasure import Erasure
from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.terms import terms
from support.memories import ALICE, NOON, Scribe

ROOT = owner_path(ALICE)
POINTER = fingerprints.fingerprint(ALICE, "q", "a")


def sketch_of_schema_1(words: Iterable[str]) -> str:
    """Four hashes of 16 bits over 4 KiB in one slice."""
    bits = bytearray(4096)
    for word in set(words):
        for hash in struct.unpack("<4H", blake2b(word.encode(), digest_size=8).digest()):
            bits[hash // 8 % 4096] |= 1 << hash % 8
    return base64.b64encode(bits).decode()


def manifest_of_schema_1(segments: Iterable[Segment], records: Mapping[int, list[Record]]) -> str:
    lines: list[list[Any]] = []
    for one in segments:
        words = (word for record in records[one.number] for word in terms(record.content))
        plain = [getattr(one, name) for name in Segment.__slots__ if name != "sketch"]
        lines.append([*plain, sketch_of_schema_1(words)])
    return orjson.dumps(lines).decode()


async def as_of_schema_1(documents: MeteredDocuments, *, first: bool) -> None:
    """All of Alice's rewritten as the first version wrote it, or the last one of schema 1."""
    root, *heads = [
        one for one in await documents.get(ROOT, session_path(ALICE, "s"), pointer()) if one
    ]
    segments = await documents.list(f"{ROOT}/segments")
    records = {int(one.id): read_segment(one) for one in segments}
    state = Owner.of(root)
    owner = {
        "schema": 1,
        "sequence": state.sequence,
        "sessions": state.sessions,
        "open": list(state.open),
        "segments": manifest_of_schema_1(state.segments, records),
    }
    later = {"epoch": state.epoch, "erasing": state.erasing, "hold": state.hold}
    others = [Set(one.path, {**one.fields, "schema": 1}) for one in (*heads, *segments)]
    await documents.commit(Set(ROOT, owner if first else {**owner, **later}), *others)


def pointer() -> str:
    return fingerprints.path(ALICE, POINTER)


async def schemas(documents: MeteredDocuments) -> set[int]:
    found = [one for one in await documents.get(ROOT, pointer()) if one]
    for name in ("sessions", "segments"):
        found += await documents.list(f"{ROOT}/{name}")
    return {one.fields["schema"] for one in found}


async def told(scribe: Scribe) -> list[Record]:
    """Sixty turns of one session, most of them in a segment."""
    for n in range(60):
        turn = scribe.turn(f"Question {n} about topic{n}", f"Answer {n}")
        await scribe.append("s", *turn, fingerprint=POINTER)
    return await scribe.log.messages(ALICE, "s")


@pytest.mark.parametrize("first", [True, False], ids=["the first version", "the last before 2"])
async def test_a_store_of_schema_1_is_read_appended_to_and_saved_as_today(
    documents: MeteredDocuments, scribe: Scribe, first: bool
) -> None:
    before = await told(scribe)
    await as_of_schema_1(documents, first=first)
    assert await schemas(documents) == {1}
    assert await scribe.log.messages(ALICE, "s") == before
    for n in range(30):
        await scribe.append("s", *scribe.turn(f"Later {n}"))
    assert [one.id for one in (await scribe.log.messages(ALICE, "s"))[:120]] == [
        one.id for one in before
    ]
    written = await documents.get(ROOT, session_path(ALICE, "s"), segment_path(ROOT, 0))
    assert [one.fields["schema"] for one in written if one] == [SCHEMA] * 3
    assert await scribe.log.delete_session(ALICE, "s") == 180
    assert await schemas(documents) == {SCHEMA}


async def test_reading_alone_rewrites_nothing(documents: MeteredDocuments, scribe: Scribe) -> None:
    await told(scribe)
    await as_of_schema_1(documents, first=True)
    documents.reset()
    await scribe.log.messages(ALICE, "s")
    await scribe.log.sessions(ALICE, limit=10)
    assert documents.reset().writes == 0
    assert await schemas(documents) == {1}


async def test_sketches_of_schema_1_still_find_what_their_segment_holds(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await told(scribe)
    fresh = Owner.of((await documents.get(ROOT))[0])
    await as_of_schema_1(documents, first=True)
    loaded = await scribe.log.load(ALICE, "s")
    (segment,) = loaded.owner.segments
    assert segment.may_hold((await scribe.log.messages(ALICE, "s"))[0].id)
    words = [f"topic{n}" for n in range(segment.count // 2)]
    assert all(segment.sketch.might_hold(word) for word in words)
    strangers = [f"stranger{n}" for n in range(1000)]
    assert sum(map(segment.sketch.might_hold, strangers)) < 20
    assert fresh.segments[0].sketch != segment.sketch
    recall = Recall(documents, IndexCache(1_000_000))
    found = await recall.candidates(ALICE, loaded, "topic3", "user", scribe.clock())
    texts = [passage.text for chunk in found.chunks for passage in chunk.passages]
    assert "Question 3 about topic3" in texts


async def test_a_memory_of_schema_1_can_be_erased(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await told(scribe)
    await as_of_schema_1(documents, first=True)
    receipt = await Erasure(documents, LexicalRanker(), lambda: NOON, backup_days=7).erase(ALICE)
    assert (receipt.epoch, receipt.sessions) == (1, 1)
    assert receipt.messages_in_segments > 0
    assert await schemas(documents) == {SCHEMA}


@pytest.mark.parametrize("path", [ROOT, session_path(ALICE, "s"), segment_path(ROOT, 0)])
async def test_a_newer_schema_is_refused_and_left_as_it_is(
    documents: MeteredDocuments, scribe: Scribe, path: str
) -> None:
    before = await told(scribe)
    (found,) = await documents.get(path)
    assert found is not None
    newer = {"schema": SCHEMA + 1, "what": "nobody here knows"}
    await documents.commit(Set(path, newer))
    with pytest.raises(NewerSchema) as refusal:
        await scribe.log.messages(ALICE, "s")
    assert (refusal.value.status, refusal.value.code) == (503, "schema_newer")
    assert "retry-after" in refusal.value.headers
    with pytest.raises(NewerSchema):
        await scribe.append("s", *scribe.turn("x"), states={before[0].id: "superseded"})
    (after,) = await documents.get(path)
    assert after is not None
    assert after.fields == newer


def test_a_newer_pointer_is_refused() -> None:
    with pytest.raises(NewerSchema):
        fingerprints.sessions(Document("p", {"schema": SCHEMA + 1, "ids": []}, "1"))


def test_todays_documents_are_read_as_they_are() -> None:
    fields = {"schema": SCHEMA, "sessions": ["s"]}
    assert current(Document("p", fields, "1"), "fingerprint") is fields
