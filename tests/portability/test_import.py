"""What is exported, erased and imported is what it was; what is imported twice is there once."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.chat.threads import fingerprint_of, spoken
from gateway.documents.base import Documents, Set, StoreUnavailable, Write, Written
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested
from gateway.memory import fingerprints
from gateway.memory.edits import Edits
from gateway.memory.heads import Owner
from gateway.memory.recall import IndexCache, Recall
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.export import Line
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from support.imports import as_lines, as_markdown, erased, exported, imported
from support.memories import ALICE, BOB, NOON, Scribe
from support.stores import sqlite_only

Writer = Callable[..., bytes]
writers = pytest.mark.parametrize("writer", [as_lines, as_markdown], ids=["jsonl", "markdown"])


async def tell(scribe: Scribe, session: str, turns: int) -> None:
    for number in range(turns):
        said = scribe.turn(f"Question {number} of {session}", f"Answer {number} of {session}")
        await scribe.append(session, *said)


def messages(lines: list[Line]) -> dict[str, Line]:
    return {line["id"]: line for line in lines if line["type"] == "message"}


def sessions(lines: list[Line]) -> dict[str, Line]:
    return {line["id"]: line for line in lines if line["type"] == "session"}


async def logs(scribe: Scribe, lines: list[Line]) -> dict[str, list[str]]:
    return {name: await scribe.texts(name) for name in sessions(lines)}


@writers
async def test_export_erase_import_export_is_the_same(
    documents: MeteredDocuments, scribe: Scribe, writer: Writer
) -> None:
    """Tails, segments, more sessions than keep a tail, two of them grown side by side."""
    await tell(scribe, "long", 3 * TAIL_TURNS)
    for _ in range(TAIL_TURNS + 2):
        await tell(scribe, "one", 1)
        await tell(scribe, "other", 1)
    for number in range(OPEN_SESSIONS + 2):
        await tell(scribe, f"s{number}", 2)
    before = await exported(documents)
    texts = await logs(scribe, before)
    await erased(documents)
    report = await imported(documents, writer(*before), piece=1000)
    after = await exported(documents)
    assert messages(after) == messages(before)
    assert sessions(after) == sessions(before)
    assert await logs(scribe, after) == texts
    told = (report.stored, report.unchanged, report.refused, report.whole)
    assert told == (len(messages(before)), 0, 0, True)
    assert report.sessions == len(sessions(before))


@writers
async def test_a_second_import_changes_nothing(
    documents: MeteredDocuments, scribe: Scribe, writer: Writer
) -> None:
    await tell(scribe, "long", 2 * TAIL_TURNS)
    await tell(scribe, "short", 1)
    data = writer(*await exported(documents))
    await erased(documents)
    await imported(documents, data)
    before = await exported(documents)
    documents.reset()
    report = await imported(documents, data)
    assert (report.stored, report.sessions, documents.operations.writes) == (0, 0, 0)
    assert report.unchanged == report.read == len(messages(before))
    assert await exported(documents) == before


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SAID = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "tool", "system"]),
        "content": TEXTS
        | st.sampled_from(["<!-- memory-ops:end {} -->", "> quoted\n", "\r\n", "# A heading\n\n"]),
        "session": st.sampled_from(["a", "b", "c", "d", "e", "f"]),
        "state": st.sampled_from(["active", "active", "active", "forked", "superseded"]),
        "pin": st.booleans(),
        "interrupted": st.booleans(),
        "expires_at": st.none() | st.floats(0, 4e9),
        "at": st.floats(0, 4e9),
        "metadata": st.dictionaries(
            TEXTS.filter(lambda key: key != "importance_override"),
            TEXTS | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.none(),
            max_size=3,
        ),
        "importance_override": st.none() | st.floats(0, 1),
        "extras": st.sampled_from(
            [
                {},
                {"name": "Ann"},
                {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
                {"tool_call_id": "c1"},
                {"media": [{"type": "image_url", "digest": "ab" * 16, "bytes": 7}]},
            ]
        ),
    }
)


def recorded(scribe: Scribe, said: dict[str, Any]) -> Record:
    scribe.clock.now += 1
    override = said["importance_override"]
    metadata = dict(said["metadata"])
    if override is not None:
        metadata["importance_override"] = override
    names = ("state", "pin", "interrupted", "expires_at", "extras")
    made = scribe.record(said["role"], said["content"], metadata=metadata)
    return Record(
        **{
            **{one.name: getattr(made, one.name) for one in fields(Record) if one.init},
            **{name: said[name] for name in names},
            "at": said["at"],
        }
    )


async def check_round(documents: Documents, past: list[dict[str, Any]], writer: Writer) -> None:
    """Whatever the store holds of others or of an earlier round makes no difference."""
    scribe = Scribe(documents, seed=len(past))
    await erased(documents)
    for said in past:
        await scribe.append(said["session"], recorded(scribe, said))
    before = await exported(documents)
    texts = await logs(scribe, before)
    await erased(documents)
    report = await imported(documents, writer(*before), piece=37)
    after = await exported(documents)
    assert report.errors == []
    assert messages(after) == messages(before)
    assert sessions(after) == sessions(before)
    assert await logs(scribe, after) == texts
    assert (await imported(documents, writer(*before))).stored == 0
    assert await exported(documents) == after


@given(past=st.lists(SAID, max_size=12), writer=st.sampled_from([as_lines, as_markdown]))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_memory_comes_back_as_it_was(
    documents: MeteredDocuments, past: list[dict[str, Any]], writer: Writer
) -> None:
    await check_round(documents, past, writer)


async def recalled(documents: Documents, scribe: Scribe, session: str) -> list[str]:
    recall = Recall(documents, IndexCache(1_000_000))
    loaded = await scribe.log.load(ALICE, session)
    found = await recall.candidates(ALICE, loaded, "Question 3", "user", scribe.clock())
    return sorted("|".join(one.text for one in chunk.passages) for chunk in found.chunks)


async def test_the_same_is_recalled_in_the_same_chunks(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "long", 2 * TAIL_TURNS)
    await tell(scribe, "short", 2)
    before = await recalled(documents, scribe, "new")
    data = as_lines(*await exported(documents))
    await erased(documents)
    await imported(documents, data)
    assert await recalled(documents, scribe, "new") == before
    assert len(before) == 2 * TAIL_TURNS + 2


async def test_a_turn_is_not_cut_where_a_commit_ends(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    """Three messages a turn do not divide the five hundred of a commit."""
    said = [
        {"role": role, "content": f"{role} {number}", "session_id": "s", "at": NOON + number}
        for number in range(400)
        for role in ("user", "assistant", "assistant")
    ]
    assert (await imported(documents, as_lines(*said))).stored == 1200
    chunks = await recalled(documents, scribe, "new")
    assert len(chunks) == 400
    assert all(chunk.count("|") == 2 for chunk in chunks)


async def test_the_session_goes_on_where_it_was(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s", TAIL_TURNS + 5)
    before = (await scribe.log.load(ALICE, "s")).head
    data = as_lines(*await exported(documents))
    await erased(documents)
    await imported(documents, data)
    after = (await scribe.log.load(ALICE, "s")).head
    assert (after.log, after.sequence) == (before.log, before.sequence)
    assert after.tail == before.tail[-len(after.tail) :]
    assert len(after.tail) >= TAIL_TURNS
    await scribe.append("s", *scribe.turn("And then?"))
    assert (await scribe.texts("s"))[-2:] == ["And then?", "Noted."]


async def test_a_resent_conversation_finds_its_session_again(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    beginning = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
    ]
    lines = [{**one, "session_id": name} for name in ("s1", "s2") for one in beginning]
    await imported(documents, as_lines(*lines))
    mark = fingerprint_of(ALICE, spoken(ALICE, beginning))
    assert mark is not None
    (pointer,) = await documents.get(fingerprints.path(ALICE, mark))
    assert sorted(fingerprints.sessions(pointer)) == ["s1", "s2"]


async def test_an_edited_message_still_aligns_with_what_was_first_said(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    (said,) = await _appended(scribe, "s", "My hash is of these words.")
    await Edits(documents, Random(1), len).edit(ALICE, said.id, content="Others.")
    data = as_lines(*await exported(documents))
    await erased(documents)
    await imported(documents, data)
    (entry,) = (await scribe.log.load(ALICE, "s")).head.log
    assert (entry.hash, await scribe.texts("s")) == (said.hash, ["Others."])


async def _appended(scribe: Scribe, session: str, *texts: str) -> list[Record]:
    said = [scribe.record("user", text) for text in texts]
    await scribe.append(session, *said)
    return said


async def test_a_deleted_message_comes_back_when_its_person_brings_it(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    first, _ = await _appended(scribe, "s", "first", "second")
    data = as_lines(*await exported(documents))
    await Edits(documents, Random(1), len).delete(ALICE, first.id)
    report = await imported(documents, data)
    head = (await scribe.log.load(ALICE, "s")).head
    assert (report.stored, report.unchanged) == (1, 1)
    assert await scribe.texts("s") == ["first", "second"]
    assert [entry.id for entry in head.log].count(first.id) == 1
    assert (head.messages, head.tokens) == (2, 2)


async def test_the_archived_return_to_the_archive_and_once(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s", 2 * TAIL_TURNS)
    later = NOON + 60 * DAY_SECONDS
    await Sweep(documents, lambda: later, scribe.randomness, Policy(), 60.0).run()
    before = await exported(documents)
    archived = [one for one in before if one.get("archived")]
    await erased(documents)
    report = await imported(documents, as_lines(*before))
    assert (report.archived, report.stored) == (
        len(archived),
        len(messages(before)) - len(archived),
    )
    after = await exported(documents)
    assert messages(after) == messages(before)
    assert (await imported(documents, as_lines(*before))).archived == 0
    assert await exported(documents) == after


async def test_what_is_archived_keeps_the_name_of_its_session(
    documents: MeteredDocuments,
) -> None:
    """Of a session that the file says nothing else of; and one without a name stays without."""
    line = {"role": "user", "content": "old", "archived": True}
    await imported(documents, as_lines({**line, "session_id": "s"}, line))
    after = messages(await exported(documents))
    assert {(one["session_id"], one["archived"]) for one in after.values()} == {
        ("s", True),
        (None, True),
    }


async def test_what_is_archived_already_is_not_stored_beside_it(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s", 2 * TAIL_TURNS)
    data = as_lines(*await exported(documents))
    later = NOON + 60 * DAY_SECONDS
    await Sweep(documents, lambda: later, scribe.randomness, Policy(), 60.0).run()
    before = await exported(documents)
    assert any(one.get("archived") for one in before)
    assert (await imported(documents, data)).stored == 0
    assert await exported(documents) == before


class Failing:
    """Documents that fail from the n-th commit on, that one applied or not."""

    def __init__(self, inner: Documents, at: int, *, applied: bool) -> None:
        self._inner, self._left, self._applied = inner, at, applied
        self.get, self.list, self.close = inner.get, inner.list, inner.close
        self.delete_tree = inner.delete_tree

    async def commit(self, *writes: Write) -> list[Written]:
        self._left -= 1
        if self._left < 0:
            if self._applied:
                await self._inner.commit(*writes)
                self._applied = False
            raise StoreUnavailable
        return await self._inner.commit(*writes)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("at", [0, 1])
async def test_interrupted_it_says_how_far_it_came_and_goes_on(
    documents: MeteredDocuments, scribe: Scribe, at: int, applied: bool
) -> None:
    lines = [
        {"role": role, "content": f"{role} {number}", "session_id": "s"}
        for number in range(700)
        for role in ("user", "assistant")
    ]
    with pytest.raises(StoreUnavailable) as caught:
        await imported(Failing(documents, at, applied=applied), as_lines(*lines))
    stored = len(messages(await exported(documents)))
    assert f" {stored} messages are stored; sent again, it goes on." in caught.value.message
    report = await imported(documents, as_lines(*lines))
    assert (report.unchanged, report.stored) == (stored, len(lines) - stored)
    assert await scribe.texts("s") == [line["content"] for line in lines]


async def test_the_same_import_twice_at_once_stores_once(
    documents: MeteredDocuments, another: MeteredDocuments, scribe: Scribe
) -> None:
    said = [{"role": "user", "content": f"{n}", "session_id": f"s{n // 300}"} for n in range(900)]
    data = as_lines(*said)
    reports = await asyncio.gather(imported(documents, data), imported(another, data))
    assert sum(report.stored for report in reports) == 900
    found = messages(await exported(documents))
    assert sorted(one["content"] for one in found.values()) == sorted(f"{n}" for n in range(900))
    assert [len(await scribe.texts(f"s{n}")) for n in range(3)] == [300, 300, 300]


async def test_turns_meanwhile_are_kept(
    documents: MeteredDocuments, another: MeteredDocuments, scribe: Scribe
) -> None:
    said = [{"role": "user", "content": f"{n}", "session_id": "s"} for n in range(900)]
    await asyncio.gather(imported(another, as_lines(*said)), tell(scribe, "s", 20))
    texts = await scribe.texts("s")
    assert len(texts) == 940
    assert [text for text in texts if text.isdigit()] == [f"{n}" for n in range(900)]


async def test_a_memory_interleaved_with_turns_keeps_both(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s", 3)
    data = as_lines(*await exported(documents))
    texts = await scribe.texts("s")
    await erased(documents)
    await tell(scribe, "new", 1)
    await scribe.append("s", *scribe.turn("After the erasure"))
    await imported(documents, data)
    assert await scribe.texts("s") == [*texts, "After the erasure", "Noted."]
    assert len(await scribe.texts("new")) == 2


async def test_an_erasure_meanwhile_ends_the_import(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    class Erasing(Failing):
        async def commit(self, *writes: Write) -> list[Written]:
            self._left -= 1
            if self._left == 0:
                await erased(documents)
            return await self._inner.commit(*writes)

    lines = [{"role": "user", "content": f"{n}", "session_id": "s"} for n in range(1200)]
    with pytest.raises(Contested, match="erased"):
        await imported(Erasing(documents, 2, applied=False), as_lines(*lines))
    assert messages(await exported(documents)) == {}


async def test_nothing_is_imported_while_the_memory_is_being_erased(
    documents: MeteredDocuments,
) -> None:
    await documents.commit(Set(owner_path(ALICE), Owner(erasing=True).packed()))
    with pytest.raises(Contested):
        await imported(documents, as_lines({"role": "user", "content": "late"}))


async def test_somebody_elses_export_becomes_ones_own_and_leaves_theirs_alone(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    """The same ids in two memories are two messages; an owner that the file names is not read."""
    bobs = Scribe(documents, owner=BOB, seed=8)
    await tell(bobs, "s", 2)
    theirs = await exported(documents, BOB)
    foreign = [{**line, "owner": BOB, "user_id": BOB, "tenant_id": BOB} for line in theirs]
    await imported(documents, as_lines(*foreign))
    assert await scribe.texts("s") == await bobs.texts("s")
    mine = messages(await exported(documents))
    assert [one["hash"] for one in mine.values()] != [
        one["hash"] for one in messages(theirs).values()
    ]
    await Edits(documents, Random(1), len).delete(ALICE, next(iter(mine)))
    await erased(documents)
    assert await exported(documents, BOB) == theirs


async def test_hashes_of_somebody_else_are_not_taken_over(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    line = {"role": "user", "content": "x", "session_id": "s", "hash": "0" * 16}
    await imported(documents, as_lines({"type": "export", "owner_hash": "theirs"}, line))
    (entry,) = (await scribe.log.load(ALICE, "s")).head.log
    assert entry.hash != "0" * 16


@sqlite_only
async def test_every_session_it_opens_is_listed_and_no_open_one_is_closed(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    for number in range(OPEN_SESSIONS - 1):
        await tell(scribe, f"open {number}".replace(" ", "-"), 1)
    opened = (await scribe.log.load(ALICE, "x")).owner.open
    lines = [{"role": "user", "content": f"{n}", "session_id": f"s{n}"} for n in range(40)]
    report = await imported(documents, as_lines(*lines))
    state = (await scribe.log.load(ALICE, "x")).owner
    assert list(state.open)[: len(opened)] == list(opened)
    assert (len(state.open), report.sessions) == (OPEN_SESSIONS, 40)
    assert state.sessions == 40 + len(opened)
    assert [await scribe.texts(f"s{n}") for n in range(40)] == [[f"{n}"] for n in range(40)]


@sqlite_only
async def test_what_an_import_reads_is_bounded_by_what_is_there(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    """The segments once, and a handful of documents for each commit."""
    text = "word " * 400
    lines = [{"role": "user", "content": f"{text}{n}", "session_id": "s"} for n in range(2000)]
    await imported(documents, as_lines(*lines))
    segments = len((await scribe.log.load(ALICE, "s")).owner.segments)
    assert segments > 10
    documents.reset()
    await imported(documents, as_lines(*lines))
    commits = 2000 * 2200 // (1024 * 1024) + 2
    assert documents.operations.reads < segments + 6 * commits


async def test_an_empty_export_imports_as_nothing(documents: MeteredDocuments) -> None:
    report = await imported(documents, as_lines(*await exported(documents)))
    assert (report.read, report.whole, report.errors) == (0, True, [])


async def test_an_export_cut_short_is_taken_and_said_to_be(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s", 3)
    lines = await exported(documents)
    await erased(documents)
    report = await imported(documents, as_lines(*lines[:-2]))
    assert (report.stored, report.whole) == (5, False)


async def test_a_session_of_which_all_is_archived_is_there_again(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    line = {"type": "session", "id": "s", "title": "Old", "created_at": 5.0, "updated_at": 6.0}
    await imported(documents, as_lines({"type": "export", "owner_hash": ""}, line))
    (told,) = sessions(await exported(documents)).values()
    assert (told["title"], told["created_at"], told["messages"]) == ("Old", 5.0, 0)


def test_json_of_a_message_holds_no_angle_bracket_outside_of_its_quote() -> None:
    line = {
        "type": "message",
        "id": "m",
        "session_id": "s",
        "role": "user",
        "at": 0.0,
        "content": "--> <script>",
        "metadata": {"k": "--> <!-- memory-ops:end {} -->"},
    }
    text = as_markdown(line).decode()
    (comment,) = [one for one in text.splitlines() if one.startswith("<!--")]
    assert comment.count("-->") == comment.count("<") == 1
    assert "> --> <script>" in text.splitlines()
    body = comment.removeprefix("<!-- memory-ops:message ").removesuffix(" -->")
    assert orjson.loads(body)["metadata"] == line["metadata"]
