"""The conversation at hand: what of it is ranked beside the memory."""

from gateway.chat.conversation import (
    Conversation,
    conversation_of,
    cut_index,
    items_of,
    query_of,
)
from gateway.chat.prompt import Item, Layout
from gateway.chat.wire import ChatRequest, Message
from gateway.memory.alignment import Alignment
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner
from gateway.memory.records import Record

SAID = {"m1": "The boat is called Vega.", "m2": "Rex likes apples.", "m3": "Rent is due."}


def conversation(**matched: str) -> Conversation:
    alignment = Alignment(matched=dict(enumerate(matched.values())))
    loaded = Loaded(Owner(), Head("s"))
    return Conversation("alice", [], [], 0, [], {}, alignment, loaded)


def test_what_was_cut_and_is_not_stored_has_no_date_of_its_own() -> None:
    items = [Item({"role": "user", "content": text}, 5, id) for id, text in SAID.items()]
    index = cut_index(conversation(first="m1"), Layout([], items), now=1_000.0)
    (boat, rent) = [passage for chunk in index.chunks for passage in chunk.passages]
    assert (boat.text, rent.text) == (SAID["m2"], SAID["m3"])
    assert not boat.dated
    assert not rent.dated


def asked(*sent: Message, stored: tuple[tuple[str, str], ...] = ()) -> str:
    tail = [
        Record(f"m{i}", "s", i, None, role, text, 5, float(i), f"h{i}")
        for i, (role, text) in enumerate(stored)
    ]
    loaded = Loaded(Owner(), Head("s", tail=tail))
    request = ChatRequest(b"", {}, sent)
    return query_of(conversation_of("alice", request, [5] * len(sent), 0, [], {}, loaded))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def test_a_question_that_leans_on_a_turn_of_the_request_is_asked_behind_it() -> None:
    turn = (user("I bought a boat called Vega."), assistant("Congratulations!"))
    assert asked(*turn, user("How much did it cost?")) == "boat called Vega\nHow much did it cost?"


def test_a_question_that_leans_on_a_stored_turn_is_asked_behind_it() -> None:
    turn = (("user", "I bought a boat called Vega."), ("assistant", "Congratulations!"))
    question = user("How much did it cost?")
    assert asked(question, stored=turn) == "boat called Vega\nHow much did it cost?"


def test_only_the_turn_right_before_is_leant_on() -> None:
    turns = (user("The lake is cold."), assistant("Oh."), user("I sold my bike."), assistant("Ok."))
    assert asked(*turns, user("How old was it?")) == "bike\nHow old was it?"


def test_a_question_that_tells_all_by_itself_is_asked_as_it_is() -> None:
    turn = (user("I bought a boat called Vega."), assistant("Congratulations!"))
    assert asked(*turn, user("When did Anna call?")) == "When did Anna call?"


def test_a_first_question_has_nothing_to_lean_on() -> None:
    assert asked(user("How much did it cost?")) == "How much did it cost?"
    assert asked({"role": "system", "content": "Be brief."}) == ""


def test_a_turn_of_parts_without_text_and_of_calls_is_leant_on_for_what_it_says() -> None:
    picture: Message = {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}
    call: Message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    result: Message = {"role": "tool", "tool_call_id": "c", "content": "42"}
    turn = (picture, call, result, assistant("That is the Eiffel Tower."))
    found = asked(*turn, user("How tall is it?"))
    assert found.endswith("\nHow tall is it?")
    assert "Eiffel" in found


def test_what_was_to_be_kept_until_now_is_sent_no_more() -> None:
    tail = [
        Record(f"m{i}", "s", i, None, "user", text, 5, 1.0, f"h{i}", expires_at=end)
        for i, (text, end) in enumerate([("kept", None), ("ended", 9.0), ("ending", 9.5)])
    ]
    loaded = Loaded(Owner(), Head("s", tail=tail))
    request = ChatRequest(b"", {}, [user("And now?")])
    told = conversation_of("alice", request, [5], 0, [], {}, loaded, now=9.0)
    assert [item.message["content"] for item in items_of(told)] == ["kept", "ending", "And now?"]
