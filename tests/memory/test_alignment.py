"""Alignment of a request with the log: what is resent, new, forked, superseded, revived."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.alignment import Alignment, Entry, align


def said(*texts: str) -> list[tuple[str, str]]:
    """`u1`, `a1`, `t1`: role by the first letter, the text is the hash."""
    roles = {"u": "user", "a": "assistant", "t": "tool"}
    return [(roles[text[0]], text) for text in texts]


def log(*texts: str) -> list[Entry]:
    """An entry's id is its hash in capitals; a leading `-` makes it inactive."""
    roles = {"u": "user", "a": "assistant", "t": "tool"}
    entries = []
    for text in texts:
        name = text.removeprefix("-")
        entries.append(Entry(name, name.upper(), roles[name[0]], active=text == name))
    return entries


def test_everything_is_new_to_an_empty_log() -> None:
    assert align(said("u1", "a1", "u2"), []) == Alignment(new=[0, 1, 2])


def test_a_lone_message_is_new_even_if_it_was_said_before() -> None:
    assert align(said("u1"), log("u1", "a1")).new == [0]


def test_resent_history_leaves_only_the_last_message_new() -> None:
    result = align(said("u1", "a1", "u2"), log("u1", "a1"))
    assert (result.matched, result.new) == ({0: "U1", 1: "A1"}, [2])
    assert not result.forked
    assert not result.superseded


def test_a_truncated_history_does_not_fork() -> None:
    result = align(said("u2", "a2", "u3"), log("u1", "a1", "u2", "a2"))
    assert (result.new, result.forked, result.superseded) == ([2], [], [])


def test_history_missing_in_the_middle_does_not_fork() -> None:
    result = align(said("u1", "a1", "u3", "a3", "u4"), log("u1", "a1", "u2", "a2", "u3", "a3"))
    assert (result.new, result.forked) == ([4], [])


def test_a_second_device_with_older_history_does_not_fork() -> None:
    result = align(said("u1", "a1", "u3"), log("u1", "a1", "u2", "a2"))
    assert (result.new, result.forked, result.superseded) == ([2], [], [])


def test_an_edited_question_forks_what_followed() -> None:
    result = align(
        said("u1", "a1", "u2x"), log("u1", "a1", "u2", "a2"), similar=lambda _i, _id: 0.9
    )
    assert (result.new, result.forked) == ([2], ["U2", "A2"])


def test_an_edited_answer_forks_and_what_is_resent_after_it_stays() -> None:
    result = align(said("u1", "a1x", "u2", "a2", "u3"), log("u1", "a1", "u2", "a2"))
    assert (result.new, result.forked) == ([1, 4], ["A1"])
    assert result.matched == {0: "U1", 2: "U2", 3: "A2"}


def test_an_edited_first_question_forks_it_alone() -> None:
    result = align(said("u1x", "a1", "u2"), log("u1", "a1"))
    assert (result.new, result.forked) == ([0, 2], ["U1"])


def test_the_same_question_again_supersedes_its_answer() -> None:
    result = align(said("u1", "a1", "u2"), log("u1", "a1", "u2", "a2"))
    assert (result.new, result.superseded) == ([], ["A2"])


def test_a_tool_reply_follows_its_call() -> None:
    result = align(said("u1", "a1", "t1"), log("u1", "a1"))
    assert (result.new, result.forked, result.superseded) == ([2], [], [])


def test_another_choice_than_the_first_is_taken_up() -> None:
    result = align(said("u1", "a1b", "u2"), log("u1", "a1", "-a1b"))
    assert (result.new, result.forked, result.revived) == ([2], ["A1"], ["A1B"])


def test_an_abandoned_branch_is_taken_up_again() -> None:
    stored = log("u1", "a1", "-u2", "-a2", "u2x", "a2x")
    result = align(said("u1", "a1", "u2", "a2", "u3"), stored)
    assert (result.new, result.revived) == ([4], ["U2", "A2"])
    assert result.forked == ["U2X", "A2X"]


def test_messages_older_than_the_log_count_as_resent() -> None:
    stored = log("u2", "a2")
    result = align(said("u1", "a1", "u2", "a2", "u3"), stored, earlier_in_log=True)
    assert result.new == [4]


def test_unmatched_beginnings_are_new_when_the_log_is_whole() -> None:
    assert align(said("u0", "a0", "u1", "a1", "u2"), log("u1", "a1")).new == [0, 1, 4]


texts = st.lists(st.sampled_from(["u1", "a1", "u2", "a2", "u3", "a3", "t1"]), max_size=10)


@given(texts, texts)
def test_every_message_is_matched_or_new_and_never_both(a: list[str], b: list[str]) -> None:
    result = align(said(*a), log(*b))
    assert sorted([*result.matched, *result.new]) == list(range(len(a)))


@given(texts, texts)
def test_what_is_matched_never_leaves_the_branch(a: list[str], b: list[str]) -> None:
    numbered = [Entry(text, f"{text}#{i}", "user", active=True) for i, text in enumerate(b)]
    result = align(said(*a), numbered)
    gone = {*result.forked, *result.superseded}
    assert not gone & set(result.matched.values())


@given(st.lists(st.sampled_from(["u1", "a1", "u2", "a2"]), min_size=1, max_size=10))
def test_a_conversation_resent_whole_stores_only_its_new_question(history: Sequence[str]) -> None:
    result = align(said(*history, "u9"), log(*history))
    assert result.new == [len(history)]
    assert not result.forked


def test_a_text_that_recurs_often_costs_no_more_than_a_bounded_table() -> None:
    history = [name for n in range(300) for name in ("ux", f"a{n}")]
    altered = [f"{name}x" if name == "a7" else name for name in history]
    result = align(said(*altered, "u9"), log(*history))
    assert result.new[-1] == len(altered)
    assert len(result.matched) > 200
