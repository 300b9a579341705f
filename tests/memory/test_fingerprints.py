"""Pointers from a conversation's beginning to its session."""

from gateway.documents.base import Create, Delete, Document, Update
from gateway.memory.fingerprints import (
    MAX_SESSIONS,
    fingerprint,
    path,
    pointing,
    sessions,
    without,
)
from gateway.memory.upgrades import SCHEMA
from support.memories import ALICE, BOB


def pointer(*names: str) -> Document:
    return Document("p", {"schema": SCHEMA, "sessions": list(names)}, "7")


def test_the_key_names_question_answer_and_owner() -> None:
    key = fingerprint(ALICE, "q", "a")
    assert key == fingerprint(ALICE, "q", "a")
    assert key not in {
        fingerprint(BOB, "q", "a"),
        fingerprint(ALICE, "q", "b"),
        fingerprint(ALICE, "a", "q"),
    }
    assert path(ALICE, key) != path(BOB, key)


def test_the_first_session_creates_the_pointer() -> None:
    assert pointing("p", None, "s1") == Create("p", {"schema": SCHEMA, "sessions": ["s1"]})
    assert sessions(None) == []


def test_sessions_that_begin_alike_share_it_the_newest_first() -> None:
    write = pointing("p", pointer("s1"), "s2")
    assert write == Update("p", {"schema": SCHEMA, "sessions": ["s2", "s1"]}, "7")
    again = pointing("p", pointer("s2", "s1"), "s1")
    assert isinstance(again, Update)
    assert again.fields["sessions"] == ["s1", "s2"]


def test_it_names_a_bounded_number_of_sessions() -> None:
    names = [f"s{n}" for n in range(MAX_SESSIONS)]
    write = pointing("p", pointer(*names), "new")
    assert isinstance(write, Update)
    assert write.fields["sessions"] == ["new", *names[:-1]]


def test_it_forgets_a_session_and_goes_with_the_last() -> None:
    assert without("p", pointer("s1", "s2"), "s1") == Update(
        "p", {"schema": SCHEMA, "sessions": ["s2"]}, "7"
    )
    assert without("p", pointer("s1"), "s1") == Delete("p", "7")
    assert without("p", None, "s1") == Delete("p")
