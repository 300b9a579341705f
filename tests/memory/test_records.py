"""Records, their ids and paths, and the keyed hash that alignment compares."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.records import (
    Record,
    content_hash,
    made_at_milliseconds,
    new_id,
    owner_path,
    random_part,
    session_path,
)
from support.memories import ALICE, BOB, NOON, record

milliseconds = st.integers(0, 32**9 - 1)


@given(milliseconds, st.integers(0, 2**35 - 1))
def test_an_id_tells_the_millisecond_it_was_made_in(made: int, bits: int) -> None:
    id = new_id((made + 0.5) / 1000, lambda _: bits)
    assert made_at_milliseconds(id) == made
    assert len(random_part(id)) == 7


@given(milliseconds, milliseconds)
def test_ids_sort_by_time(a: int, b: int) -> None:
    first, second = (new_id((one + 0.5) / 1000, Random(0).getrandbits) for one in (a, b))
    assert (first < second) == (a < b)


def test_another_string_is_no_id() -> None:
    assert made_at_milliseconds("") is None
    assert made_at_milliseconds("r123") is None
    assert made_at_milliseconds("mZZZZZZZZZZZZZZZZ") is None
    assert made_at_milliseconds("../../owners/some") is None


def test_a_record_comes_back_as_it_was_packed() -> None:
    plain = record(Random(1), "user", "My dog is called Rex. 🐕")
    full = replace(
        plain,
        parent=plain.id,
        state="forked",
        interrupted=True,
        expires_at=NOON,
        pin=True,
        metadata={"source": "import"},
        extras={"tool_calls": [{"id": "call_1"}]},
        receipt={"id": "r1"},
    )
    assert Record.unpacked(plain.packed()) == plain
    assert Record.unpacked(full.packed()) == full


def test_only_live_words_of_the_branch_are_rankable() -> None:
    said = record(Random(1), "user", "My dog is called Rex.")
    assert said.rankable(NOON)
    assert not replace(said, state="superseded").rankable(NOON)
    assert not replace(said, state="alternative").rankable(NOON)
    assert not replace(said, role="system").rankable(NOON)
    assert not replace(said, content="").rankable(NOON)
    assert not replace(said, expires_at=NOON).rankable(NOON)
    assert replace(said, expires_at=NOON + 1).rankable(NOON)


def test_the_hash_is_keyed_by_owner_and_blind_to_space_around() -> None:
    assert content_hash(ALICE, "user", "Hello\n", ()) == content_hash(ALICE, "user", " Hello", ())
    assert content_hash(ALICE, "user", "Hello", ()) != content_hash(BOB, "user", "Hello", ())
    assert content_hash(ALICE, "user", "Hello", ()) != content_hash(ALICE, "assistant", "Hello", ())


def test_the_parts_of_a_hash_do_not_run_into_each_other() -> None:
    assert content_hash(ALICE, "tool", "a", ("bc",)) != content_hash(ALICE, "tool", "ab", ("c",))
    assert content_hash(ALICE, "tool", "", ("a", "b")) != content_hash(ALICE, "tool", "", ("ab",))


@given(st.text())
def test_a_path_holds_nothing_of_what_a_client_sent(session: str) -> None:
    path = session_path("google:someone@example.com", session)
    owners, owner, sessions, name = path.split("/")
    assert (owners, sessions) == ("owners", "sessions")
    assert owner.isalnum()
    assert name.isalnum()
    assert path.startswith(owner_path("google:someone@example.com"))
    assert owner_path(ALICE) != owner_path(BOB)
