"""The message log on either store: appending, branching, rolling over, deleting."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.documents.base import (
    Add,
    Document,
    Documents,
    Set,
    StoreUnavailable,
    Write,
    Written,
)
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import Contested, NotFound, TooLarge
from gateway.memory import fingerprints
from gateway.memory.growth import ROOT, Addition, Compose
from gateway.memory.heads import APPEND_KEYS, LOG_ENTRIES, Head, Owner
from gateway.memory.log import MessageLog
from gateway.memory.records import owner_path
from gateway.memory.segments import OPEN_SESSIONS, TAIL_BYTES, TAIL_TURNS, size, turns
from gateway.memory.storage import segment_path
from support.memories import ALICE, BOB, Scribe
from support.stores import sqlite_only

LARGEST_DOCUMENT = 900 * 1024


class Failing:
    """A store that is away from its `commits_left + 1`th commit on, until told otherwise."""

    def __init__(self, inner: Documents, commits_left: int) -> None:
        self._inner = inner
        self.commits_left = commits_left

    async def get(self, *paths: str) -> list[Document | None]:
        return await self._inner.get(*paths)

    async def commit(self, *writes: Write) -> list[Written]:
        if self.commits_left == 0:
            raise StoreUnavailable
        self.commits_left -= 1
        return await self._inner.commit(*writes)

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        return await self._inner.list(
            collection, after=after, before=before, limit=limit, newest_first=newest_first
        )

    async def delete_tree(self, path: str, *, limit: int = 500) -> int:
        return await self._inner.delete_tree(path, limit=limit)

    async def close(self) -> None:
        await self._inner.close()


def _composing(addition: Addition) -> Compose:
    return lambda _: addition


async def largest_document(documents: Documents) -> int:
    """Bytes of the owner's largest text, as Firestore would count it."""
    root = owner_path(ALICE)
    found = [one for one in await documents.get(root) if one]
    for name in ("sessions", "segments"):
        found += await documents.list(f"{root}/{name}", limit=500)
    return max(len(str(value).encode()) for one in found for value in one.fields.values())


async def test_what_is_appended_is_read_back_in_order(scribe: Scribe) -> None:
    for n in range(3):
        await scribe.append("s", *scribe.turn(f"question {n}", f"answer {n}"))
    found = await scribe.log.messages(ALICE, "s")
    assert [one.content for one in found] == [
        f"{word} {n}" for n in range(3) for word in ("question", "answer")
    ]
    assert [one.sequence for one in found] == [1, 2, 3, 4, 5, 6]
    assert [one.parent for one in found] == [None, *(one.id for one in found[:-1])]


async def test_an_unknown_session_is_not_found(scribe: Scribe) -> None:
    with pytest.raises(NotFound):
        await scribe.log.messages(ALICE, "never")


async def test_owners_do_not_see_each_other(documents: MeteredDocuments, scribe: Scribe) -> None:
    await scribe.append("s", *scribe.turn("mine"))
    other = Scribe(documents, owner=BOB)
    with pytest.raises(NotFound):
        await other.log.messages(BOB, "s")
    with pytest.raises(NotFound):
        await other.log.delete_session(BOB, "s")
    assert await other.log.sessions(BOB, limit=10) == []
    assert await scribe.texts("s") == ["mine", "Noted."]


async def test_an_append_with_a_known_key_changes_nothing(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    first = scribe.turn("once")
    await scribe.append("s", *first, key="k1")
    documents.reset()
    await scribe.append("s", *scribe.turn("twice"), key="k1")
    assert documents.reset().writes == 0
    assert await scribe.texts("s") == ["once", "Noted."]


async def test_writes_of_other_rooms_go_with_the_append_or_not_at_all(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    settlement = Add("limits/today", {"tokens": 5})
    await scribe.append("s", *scribe.turn("once"), key="k1", beside=[settlement])
    await scribe.append("s", *scribe.turn("once"), key="k1", beside=[settlement])
    found = (await documents.get("limits/today"))[0]
    assert found is not None
    assert found.fields == {"tokens": 5}


async def test_a_message_that_no_document_could_hold_is_refused_whole(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    small, large = scribe.record("user", "small"), scribe.record("assistant", "\x01" * 90_000)
    with pytest.raises(TooLarge):
        await scribe.append("s", small, large)
    assert documents.reset().writes == 0
    with pytest.raises(NotFound):
        await scribe.log.messages(ALICE, "s")


async def test_a_plain_turn_costs_two_reads_and_one_write(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    """With the admission and the settlement beside it: three writes."""
    await scribe.append("s", *scribe.turn("the session opens"))
    documents.reset()
    loaded = await scribe.log.load(ALICE, "s")
    added = Addition(
        key="k2", records=scribe.turn("a plain turn"), beside=[Add("limits/today", {"tokens": 5})]
    )
    await scribe.log.append(ALICE, "s", lambda _: added, loaded)
    counted = documents.reset()
    assert (counted.reads, counted.writes, counted.deletes) == (2, 2, 0)


async def test_a_turn_costs_the_same_however_long_the_history(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    costs = []
    for n in range(120):
        documents.reset()
        loaded = await scribe.log.load(ALICE, "s")
        added = Addition(key=f"k{n}", records=scribe.turn(f"question {n}"))
        await scribe.log.append(ALICE, "s", _composing(added), loaded)
        counted = documents.reset()
        costs.append((counted.reads, counted.writes))
    plain, rollover = (2, 1), (3, 3)
    assert set(costs) - {plain, rollover} == {(2, 2), (2, 3)}  # opened; first rollover
    assert costs.count(plain) > 100


async def test_a_tail_rolls_over_within_its_bounds(scribe: Scribe) -> None:
    for n in range(80):
        head = await scribe.append("s", *scribe.turn(f"question {n}", "word " * (n * 40)))
        assert len(turns(head.tail)) <= TAIL_TURNS
        assert sum(map(size, head.tail)) <= TAIL_BYTES
    loaded = await scribe.log.load(ALICE, "s")
    assert loaded.owner.segments
    assert [text for text in await scribe.texts("s") if text.startswith("question")] == [
        f"question {n}" for n in range(80)
    ]


@pytest.mark.parametrize("character", ["𐍈", "\x01", '"'], ids=["four bytes", "control", "quote"])
async def test_no_document_grows_past_its_bound(
    scribe: Scribe, documents: MeteredDocuments, character: str
) -> None:
    for n in range(30):
        texts = (character * (n * 1_500), character * 20_000)
        await scribe.append("s" + str(n % 3), *scribe.turn(*texts))
    largest = scribe.record("user", character * (80_000 if character != "𐍈" else 120_000))
    await scribe.append("s0", largest, scribe.record("assistant", "small"))
    assert await largest_document(documents) < LARGEST_DOCUMENT
    stored = await scribe.log.messages(ALICE, "s0")
    assert stored[-2].content == largest.content
    assert len(stored) == 22


@sqlite_only
async def test_the_log_and_the_keys_of_a_head_are_bounded(scribe: Scribe) -> None:
    for _ in range(5):
        await scribe.append("s", *(one for n in range(60) for one in scribe.turn(f"q{n}")))
    for n in range(APPEND_KEYS + 5):
        await scribe.append("s", scribe.record("user", f"note {n}"))
    head = (await scribe.log.load(ALICE, "s")).head
    assert (len(head.log), len(head.requests)) == (LOG_ENTRIES, APPEND_KEYS)
    assert head.earlier_in_log
    assert head.messages == 600 + APPEND_KEYS + 5


async def test_a_fifth_session_seals_the_one_opened_first(scribe: Scribe) -> None:
    for n in range(OPEN_SESSIONS + 1):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}"))
    first, last = [(await scribe.log.load(ALICE, f"s{n}")).head for n in (0, OPEN_SESSIONS)]
    assert (first.open, list(first.tail)) == (False, [])
    assert last.open
    assert await scribe.texts("s0") == ["question 0", "Noted."]


async def test_a_sealed_session_opens_again_and_keeps_its_order(scribe: Scribe) -> None:
    for n in range(OPEN_SESSIONS + 2):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}"))
    await scribe.append("s0", *scribe.turn("and then"))
    owner = (await scribe.log.load(ALICE, "s0")).owner
    assert len(owner.open) == OPEN_SESSIONS
    assert owner.sessions == OPEN_SESSIONS + 2
    found = await scribe.log.messages(ALICE, "s0")
    assert [one.content for one in found] == ["question 0", "Noted.", "and then", "Noted."]
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})
    assert found[2].parent == found[1].id


@sqlite_only
async def test_three_hundred_short_sessions_cost_few_segments(scribe: Scribe) -> None:
    for n in range(300):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}"))
    owner = (await scribe.log.load(ALICE, "s0")).owner
    assert len(owner.segments) <= 2
    assert sum(one.count for one in owner.segments) == 2 * (300 - OPEN_SESSIONS)
    assert await scribe.texts("s7") == ["question 7", "Noted."]


async def test_two_instances_at_once_lose_no_turn_and_double_none(
    documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    scribes = [Scribe(documents, seed=1), Scribe(another, seed=2)]
    asked = [(n % 2, f"question {n}") for n in range(100)]
    await asyncio.gather(*(scribes[i].append("s", *scribes[i].turn(text)) for i, text in asked))
    found = await scribes[0].log.messages(ALICE, "s")
    questions = [one.content for one in found if one.role == "user"]
    assert sorted(questions) == sorted(text for _, text in asked)
    sequences = [one.sequence for one in found]
    assert sequences == sorted(set(sequences))
    assert [one.parent for one in found[1:]] == [one.id for one in found[:-1]]


async def test_a_lost_race_composes_again_on_what_won(scribe: Scribe) -> None:
    await scribe.append("s", *scribe.turn("first"))
    stale = await scribe.log.load(ALICE, "s")
    await scribe.append("s", *scribe.turn("second"))
    heads: list[int] = []

    def compose(head: Head) -> Addition:
        heads.append(head.messages)
        return Addition(key="k3", records=[scribe.record("user", "third")])

    await scribe.log.append(ALICE, "s", compose, stale)
    assert heads == [2, 4]
    assert await scribe.texts("s") == ["first", "Noted.", "second", "Noted.", "third"]


async def test_what_follows_a_fork_has_its_parent_on_the_branch(scribe: Scribe) -> None:
    first, edited = scribe.turn("first"), scribe.turn("edited")
    forked = scribe.turn("forked")
    await scribe.append("s", *first)
    await scribe.append("s", *forked)
    head = await scribe.append("s", *edited, states={one.id: "forked" for one in forked})
    found = {one.id: one for one in await scribe.log.messages(ALICE, "s")}
    assert found[edited[0].id].parent == first[1].id
    assert [one.id for one in head.branch()] == [one.id for one in first + edited]
    assert found[forked[0].id].state == "forked"
    assert head.tokens == sum(one.tokens for one in first + edited)


async def test_an_edited_message_takes_its_place_in_the_branch(scribe: Scribe) -> None:
    first, second = scribe.turn("first"), scribe.turn("second")
    await scribe.append("s", *first, *second)
    answer = scribe.record("assistant", "edited answer", parent=first[0].id)
    head = await scribe.append("s", answer, states={first[1].id: "forked"})
    assert [one.content for one in head.branch()] == ["first", "edited answer", "second", "Noted."]
    question = scribe.record("user", "edited question", parent=ROOT)
    head = await scribe.append("s", question, states={first[0].id: "forked"})
    assert [one.content for one in head.branch()][:2] == ["edited question", "edited answer"]
    stored = {one.id: one for one in await scribe.log.messages(ALICE, "s")}
    assert stored[question.id].parent is None


async def test_a_branch_is_left_also_by_messages_in_segments(scribe: Scribe) -> None:
    told = [scribe.turn(f"question {n}") for n in range(TAIL_TURNS + 4)]
    for turn in told:
        await scribe.append("s", *turn)
    old = told[1][1]
    await scribe.append("s", scribe.record("user", "now"), states={old.id: "superseded"})
    states = {one.id: one.state for one in await scribe.log.messages(ALICE, "s")}
    assert [id for id, state in states.items() if state != "active"] == [old.id]


async def test_the_sequence_rises_whatever_session_is_written(scribe: Scribe) -> None:
    for n in range(60):
        await scribe.append(f"s{n % 6}", *scribe.turn(f"question {n}"))
    for n in range(6):
        sequences = [one.sequence for one in await scribe.log.messages(ALICE, f"s{n}")]
        assert sequences == sorted(set(sequences))
        assert len(sequences) == 20


async def test_unstored_answers_are_known_but_not_kept(scribe: Scribe) -> None:
    asked, answer = scribe.turn("asked", "a preview")
    head = await scribe.append("s", asked, answer, unstored=frozenset({answer.id}))
    assert [entry.id for entry in head.log] == [asked.id, answer.id]
    assert await scribe.texts("s") == ["asked"]
    assert head.tokens == asked.tokens


async def test_a_log_cut_at_its_bound_is_known_to_have_begun_earlier(scribe: Scribe) -> None:
    for n in range(5):
        turns_made = [scribe.turn(f"question {n}.{k}") for k in range(60)]
        previews = frozenset(answer.id for _, answer in turns_made)
        records = [one for turn in turns_made for one in turn]
        await scribe.append("s", *records, unstored=previews)
    head = (await scribe.log.load(ALICE, "s")).head
    assert head.messages < len(head.log)
    assert head.earlier_in_log


async def test_sessions_are_listed_in_pages(scribe: Scribe) -> None:
    for n in range(5):
        await scribe.append(f"s{n}", *scribe.turn(f"question {n}"))
    first = await scribe.log.sessions(ALICE, limit=3)
    rest = await scribe.log.sessions(ALICE, limit=3, after=first[-1][0])
    assert sorted(head.session for _, head in first + rest) == [f"s{n}" for n in range(5)]
    assert {head.title for _, head in first + rest} == {f"question {n}" for n in range(5)}


async def test_deleting_a_session_leaves_the_others(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    pointer = fingerprints.fingerprint(ALICE, "q", "a")
    for n in range(40):
        await scribe.append("gone", *scribe.turn(f"secret {n}"), fingerprint=pointer)
        await scribe.append("kept", *scribe.turn(f"harmless {n}"))
    assert await scribe.log.delete_session(ALICE, "gone") == 80
    with pytest.raises(NotFound):
        await scribe.log.messages(ALICE, "gone")
    assert len(await scribe.texts("kept")) == 80
    assert await documents.get(fingerprints.path(ALICE, pointer)) == [None]
    loaded = await scribe.log.load(ALICE, "kept")
    assert (loaded.owner.sessions, list(loaded.owner.open)) == (1, [loaded.head.key])
    with pytest.raises(NotFound):
        await scribe.log.delete_session(ALICE, "gone")


async def everything(documents: Documents) -> str:
    root = owner_path(ALICE)
    found = [one for one in await documents.get(root) if one]
    for name in ("sessions", "segments", "fingerprints"):
        found += await documents.list(f"{root}/{name}", limit=500)
    return str([one.fields for one in found])


@pytest.mark.parametrize("commits", range(5))
async def test_a_deletion_that_was_interrupted_is_finished_by_the_next(
    tmp_path: Path, commits: int
) -> None:
    async with AsyncExitStack() as stack:
        failing = Failing(SqliteDocuments(str(tmp_path / "memory.db")), commits_left=-1)
        stack.push_async_callback(failing.close)
        scribe = Scribe(failing)
        for n in range(60):
            await scribe.append("gone", *scribe.turn(f"secret {n}", "word " * 4_000))
        await scribe.append("kept", *scribe.turn("harmless"))
        assert len((await scribe.log.load(ALICE, "gone")).owner.segments) > 2
        failing.commits_left = commits
        with pytest.raises(StoreUnavailable):
            await scribe.log.delete_session(ALICE, "gone")
        failing.commits_left = -1
        await scribe.log.delete_session(ALICE, "gone")
        assert "secret" not in await everything(failing)
        assert await scribe.texts("kept") == ["harmless", "Noted."]


async def test_a_rollover_during_a_deletion_leaves_nothing_behind(
    documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    class Interrupting(Failing):
        """Lets another instance write right before the first commit."""

        async def commit(self, *writes: Write) -> list[Written]:
            if self.commits_left:
                self.commits_left = 0
                for n in range(30):
                    await writer.append("gone", *writer.turn(f"later secret {n}"))
            return await self._inner.commit(*writes)

    writer = Scribe(documents, seed=1)
    for n in range(30):
        await writer.append("gone", *writer.turn(f"secret {n}"))
    deleting = Interrupting(another, commits_left=1)
    log = MessageLog(deleting, writer.clock, writer.randomness)
    assert await log.delete_session(ALICE, "gone") == 120
    assert "secret" not in await everything(documents)


async def test_a_store_that_is_away_fails_the_append_and_stores_nothing(
    documents: MeteredDocuments,
) -> None:
    scribe = Scribe(Failing(documents, commits_left=0))
    with pytest.raises(StoreUnavailable):
        await scribe.append("s", *scribe.turn("lost"))
    assert (await documents.get(owner_path(ALICE))) == [None]


def test_a_head_and_an_owner_come_back_as_they_were_packed() -> None:
    head = Head(session="s", requests=["k"], usage={"cut": True}, block={"for": "h", "text": "t"})
    document = Document("owners/o/sessions/s", head.packed(), "3")
    assert Head.of(document, "s") == replace(head, log=[], tail=[], version="3")
    owner = Owner(sequence=5, sessions=2, open=("a", "b"))
    assert Owner.of(Document("owners/o", owner.packed(), "4")) == replace(owner, version="4")


async def test_segments_lie_under_the_owners_path(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    for n in range(TAIL_TURNS + 1):
        await scribe.append("s", *scribe.turn(f"question {n}"))
    found = (await documents.get(segment_path(owner_path(ALICE), 0)))[0]
    assert found is not None
    assert found.path.startswith(owner_path(ALICE))


async def test_a_session_under_a_legal_hold_is_not_deleted(
    scribe: Scribe, documents: MeteredDocuments
) -> None:
    await scribe.append("s", *scribe.turn("Keep this"))
    found = (await documents.get(owner_path(ALICE)))[0]
    held = replace(Owner.of(found), hold=True)
    await documents.commit(Set(owner_path(ALICE), held.packed()))
    with pytest.raises(Contested):
        await scribe.log.delete_session(ALICE, "s")
    assert await scribe.texts("s") == ["Keep this", "Noted."]


async def test_a_message_whose_time_is_over_is_read_back_no_more(scribe: Scribe) -> None:
    ending, kept = scribe.turn("until tomorrow", "for good")
    await scribe.append("s", replace(ending, expires_at=scribe.clock() + 5), kept)
    assert await scribe.texts("s") == ["until tomorrow", "for good"]
    scribe.clock.now += 5
    assert await scribe.texts("s") == ["for good"]
    assert (await scribe.log.stored(ALICE, "s"))[0].content == "until tomorrow"
