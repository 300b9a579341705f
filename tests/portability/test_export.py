"""An export holds everything remembered of one person, and nothing of another."""

from dataclasses import fields

import pytest

from gateway.documents.base import Documents, Set
from gateway.documents.metered import MeteredDocuments
from gateway.errors import Contested
from gateway.memory.heads import Owner
from gateway.memory.records import Record, owner_path
from gateway.memory.segments import OPEN_SESSIONS, TAIL_TURNS
from gateway.portability.export import MESSAGE_FIELDS, PAGE, Export, Line
from gateway.retention.decisions import DAY_SECONDS, Policy
from gateway.retention.sweep import Sweep
from support.memories import ALICE, BOB, NOON, Scribe


async def exported(documents: Documents, owner: str = ALICE) -> list[Line]:
    return [line async for line in Export(documents, {"memory_scope": "user"}).lines(owner)]


def of_type(lines: list[Line], name: str) -> list[Line]:
    return [line for line in lines if line["type"] == name]


async def tell(scribe: Scribe, session: str, turns: int) -> list[str]:
    texts = []
    for number in range(turns):
        said = scribe.turn(f"Question {number} of {session}", f"Answer {number} of {session}")
        await scribe.append(session, *said)
        texts += [record.content for record in said]
    return texts


async def test_everything_said_is_in_it_once_and_nothing_of_anybody_else(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    texts = await tell(scribe, "long", 2 * TAIL_TURNS)
    for number in range(OPEN_SESSIONS + PAGE):
        texts += await tell(scribe, f"s{number}", 1)
    await tell(Scribe(documents, owner=BOB), "bob's", 2 * TAIL_TURNS)
    lines = await exported(documents)
    messages = of_type(lines, "message")
    assert sorted(one["content"] for one in messages) == sorted(texts)
    assert all(one["content"].endswith(f"of {one['session_id']}") for one in messages)
    sessions = of_type(lines, "session")
    assert len(sessions) == 1 + OPEN_SESSIONS + PAGE
    assert lines[0] == {
        "type": "export",
        "schema": 1,
        "owner_hash": owner_path(ALICE).removeprefix("owners/"),
        "sessions": len(sessions),
    }
    assert lines[1] == {"type": "settings", "memory_scope": "user", "legal_hold": False}
    assert lines[-1] == {"type": "end", "messages": len(texts), "versions": 0}


async def test_a_message_comes_with_all_that_is_known_of_it(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    known = {"metadata": {"k": 1}, "extras": {"name": "Ann"}, "receipt": {"id": "r", "lines": []}}
    said = scribe.record("user", "Hello", pin=True, state="superseded", **known)
    await scribe.append("s1", said)
    (line,) = of_type(await exported(documents), "message")
    assert {name: line[name] for name in known} == known
    assert (line["id"], line["session_id"], line["role"]) == (said.id, "s1", "user")
    assert (line["state"], line["pin"], line["at"], line["parent"]) == (
        "superseded",
        True,
        said.at,
        None,
    )


def test_no_field_of_a_message_is_forgotten() -> None:
    told = {*MESSAGE_FIELDS, "id", "session"}
    assert told == {one.name for one in fields(Record) if one.init}


async def test_messages_of_a_segment_come_in_their_sequence(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 100)
    tail = len((await scribe.log.load(ALICE, "s1")).head.tail)
    sequences = [one["sequence"] for one in of_type(await exported(documents), "message")]
    assert sequences[:tail] == sorted(sequences[:tail])
    assert sequences[tail:] == sorted(sequences[tail:])


async def test_the_archive_is_in_it(documents: MeteredDocuments, scribe: Scribe) -> None:
    texts = await tell(scribe, "s1", 2 * TAIL_TURNS)
    later = NOON + 60 * DAY_SECONDS
    await Sweep(documents, lambda: later, scribe.randomness, Policy(), 60.0).run()
    messages = of_type(await exported(documents), "message")
    assert any(one.get("archived") for one in messages)
    assert sorted(one["content"] for one in messages) == sorted(texts)


async def test_there_may_be_nothing_to_export(documents: MeteredDocuments) -> None:
    assert [line["type"] for line in await exported(documents)] == [
        "export",
        "settings",
        "end",
    ]


async def test_nothing_is_exported_while_the_memory_is_being_erased(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await tell(scribe, "s1", 1)
    await documents.commit(Set(owner_path(ALICE), Owner(erasing=True).packed()))
    with pytest.raises(Contested):
        await exported(documents)
