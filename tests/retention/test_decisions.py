"""Retention: who leaves at which age, and what a session's head is without them."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.alignment import Entry
from gateway.memory.heads import Head
from gateway.memory.records import Record
from gateway.retention.decisions import DAY_SECONDS, Policy, Uses, decide, importance_of, without
from support.memories import NOON, record

PLAIN = "the weather turned out fine"  # no cue: salience 0.1
TELLING = "My dog is called Rex and he is 3 years old"
POLICY = Policy()
CALL = {"tool_calls": [{"id": "c1", "type": "function"}]}
REPLY = {"tool_call_id": "c1"}


def said(days_ago: float, role: str = "user", text: str = PLAIN, **fields: Any) -> Record:
    return record(Random(f"{days_ago}{role}{text}"), role, text, at=ago(days_ago), **fields)


def ago(days: float) -> float:
    return NOON - days * DAY_SECONDS


def used(one: Record, times: int, days_ago: float) -> Uses:
    uses = Uses()
    for _ in range(times):
        uses.learn([receipt_of(one, days_ago)])
    return uses


def receipt_of(one: Record, days_ago: float) -> Record:
    receipt = {"id": "r", "created_at": ago(days_ago), "lines": [{"id": one.id, "score": 1.0}]}
    return said(days_ago, "user", "And then?", receipt=receipt)


@pytest.mark.parametrize("at_day", [29, 30, 31, 120])
@pytest.mark.parametrize(
    ("role", "uses", "kept_until_day"),
    [
        ("user", 0, 30),
        ("user", 1, 30),
        ("user", 6, 31),
        ("assistant", 0, 30),
        ("assistant", 6, 31),
        ("tool", 0, 30),
        ("tool", 6, 30),
        ("system", 0, 30),
        ("system", 6, 30),
    ],
)
def test_who_is_kept_by_role_age_and_use(
    role: str, uses: int, kept_until_day: int, at_day: int
) -> None:
    one = said(at_day, role)
    decision = decide([one], used(one, uses, at_day), POLICY, NOON)
    kept = at_day <= kept_until_day
    assert decision.kept == [one] * kept
    assert decision.archived == [one] * (not kept)


@pytest.mark.parametrize("at_day", [29, 30, 31, 120])
@pytest.mark.parametrize(
    ("fields", "kept_until_day"),
    [
        ({"pin": True}, 120),
        ({"pin": True, "metadata": {"importance_override": 0.0}}, 120),
        ({"metadata": {"importance_override": 0.35}}, 120),
        ({"metadata": {"importance_override": 1}}, 120),
        ({"metadata": {"importance_override": 0.34}}, 30),
        ({"text": TELLING}, 120),
        ({"text": TELLING, "metadata": {"importance_override": 0.0}}, 30),
        ({"text": TELLING, "metadata": {"importance_override": "high"}}, 120),
        ({"role": "assistant", "text": TELLING}, 120),
        ({"role": "tool", "text": TELLING}, 30),
        ({"role": "tool", "pin": True}, 120),
    ],
    ids=str,
)
def test_pins_overrides_and_what_was_said_decide_as_well(
    fields: dict[str, Any], kept_until_day: int, at_day: int
) -> None:
    decision = decide([said(at_day, **fields)], Uses(), POLICY, NOON)
    assert len(decision.kept) == (at_day <= kept_until_day)


@pytest.mark.parametrize(("at_day", "first_kept"), [(29, 1), (30, 1), (31, 0), (120, 0)])
def test_of_a_repeated_message_the_last_one_is_kept(at_day: int, first_kept: int) -> None:
    first, last = said(at_day, text=TELLING), replace(said(28, text=TELLING), id="m-later")
    assert first.hash == last.hash
    decision = decide([first, last], Uses(), POLICY, NOON)
    assert decision.kept == [first] * first_kept + [last]


def test_a_recent_use_keeps_what_a_use_of_long_ago_does_not() -> None:
    one = said(120)
    assert decide([one], used(one, 1, 100), POLICY, NOON).archived == [one]
    assert decide([one], used(one, 1, 2), POLICY, NOON).kept == [one]


def test_uses_are_counted_and_the_last_one_remembered_in_any_order() -> None:
    one = said(50)
    uses = Uses()
    for days in (10, 3, 20):
        uses.learn([receipt_of(one, days)])
    uses.learn([said(1)])
    assert (uses.counts[one.id], uses.last[one.id]) == (3, ago(3))
    assert importance_of(one, uses, NOON).retention == pytest.approx(2 ** (-3 / 28))


def test_an_end_of_its_own_deletes_a_message_of_any_age_and_importance() -> None:
    ended, ending = said(1, pin=True, expires_at=NOON), said(2, expires_at=NOON + 1)
    decision = decide([ended, ending], Uses(), POLICY, NOON)
    assert (decision.kept, decision.archived, decision.expired) == ([ending], [], [ended])


def test_a_tool_call_and_its_replies_stay_or_leave_together() -> None:
    call = said(40, "assistant", "", extras=CALL)
    replies = [said(40, "tool", f"{n} rows", extras=REPLY) for n in (1, 2)]
    pinned = replace(replies[1], pin=True)
    assert decide([call, *replies], Uses(), POLICY, NOON).archived == [call, *replies]
    assert decide([call, replies[0], pinned], Uses(), POLICY, NOON).archived == []


def test_a_call_whose_reply_has_ended_leaves_with_it() -> None:
    call = said(5, "assistant", "", extras=CALL)
    reply = said(5, "tool", "a secret", extras=REPLY, expires_at=ago(1))
    after = said(5, "assistant", "Done.")
    decision = decide([call, reply, after], Uses(), POLICY, NOON)
    assert (decision.kept, decision.archived, decision.expired) == ([after], [call], [reply])


def test_another_sessions_reply_is_no_partner() -> None:
    call = said(40, "assistant", "", extras=CALL, session="a")
    pinned = said(40, "tool", "rows", extras=REPLY, session="b", pin=True)
    decision = decide([call, pinned], Uses(), POLICY, NOON)
    assert (decision.kept, decision.archived) == ([pinned], [call])


ages = st.floats(0, 200)
roles = st.sampled_from(["user", "assistant", "tool", "system"])
texts = st.sampled_from([PLAIN, TELLING, "ok", "Remember that I park on level 3"])
messages = st.lists(
    st.builds(
        lambda n, age, role, text, calls, pin: record(
            Random(n), role, text, at=ago(age), pin=pin, extras=CALL if calls else {}
        ),
        st.integers(),
        ages,
        roles,
        texts,
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)


@given(messages)
def test_every_message_goes_one_way_and_keeps_its_place(records: list[Record]) -> None:
    decision = decide(records, Uses(), POLICY, NOON)
    places = {one.id: i for i, one in enumerate(records)}
    for part in (decision.kept, decision.archived, decision.expired):
        assert [places[one.id] for one in part] == sorted(places[one.id] for one in part)
    assert sorted(places[one.id] for one in [*decision.kept, *decision.leaving]) == list(
        range(len(records))
    )
    oldest_kept = POLICY.oldest_kept(NOON)
    assert all(one.at < oldest_kept and not one.pin for one in decision.archived)


@given(messages, st.data())
def test_what_stays_unused_stays_when_used(records: list[Record], data: st.DataObject) -> None:
    uses = Uses()
    for one in records:
        if data.draw(st.booleans()):
            uses.learn([receipt_of(one, data.draw(ages))])
    unused = {one.id for one in decide(records, Uses(), POLICY, NOON).kept}
    assert unused <= {one.id for one in decide(records, uses, POLICY, NOON).kept}


def test_a_head_counts_only_what_it_still_has() -> None:
    question, answer = said(40, text="What?"), said(40, "assistant", "That.")
    other, gone = said(40, text="Other"), replace(said(40, text="Old"), state="superseded")
    log = [Entry(one.hash, one.id, one.role, tokens=one.tokens) for one in (question, answer)]
    head = Head(
        session="s",
        messages=9,
        turns=4,
        tokens=50,
        log=log,
        tail=[question, answer, other],
        block={"for": question.hash, "text": "quoted"},
    )
    lighter = without(head, [question, answer, gone])
    assert (lighter.messages, lighter.turns, lighter.tokens) == (6, 2, 50 - 2)
    assert list(lighter.tail) == [other]
    assert [entry.tokens for entry in lighter.log] == [0, 0]
    assert [entry.hash for entry in lighter.log] == [question.hash, answer.hash]
    assert lighter.block == {}
    assert without(head, [other]).block == head.block
