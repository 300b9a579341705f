"""Items as messages and back: nothing lost, order kept, calls beside their outputs."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.responses.items import Item, grouped, items_of

QUESTION = {"role": "user", "content": "Weather in Łódź?"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Let me see."}],
}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": "ls"}
CUSTOM_OUTPUT = {"type": "custom_tool_call_output", "call_id": "c2", "output": "a b"}
UNKNOWN = {"type": "x_new", "x": 1}
EVERY: list[Item] = [
    QUESTION,
    THOUGHT,
    SEARCH,
    SAID,
    CALL,
    OUTPUT,
    CUSTOM,
    CUSTOM_OUTPUT,
    UNKNOWN,
]


def messages(*items: Item) -> list[Any]:
    return [one.message for one in grouped(items)]


@given(st.lists(st.sampled_from(EVERY), min_size=1, max_size=12))
def test_every_item_stays_in_its_place(items: list[Item]) -> None:
    groups = grouped(items)
    assert [item for group in groups for item in group.items] == items
    assert all(group.message["role"] for group in groups)


def test_what_the_model_says_in_one_go_is_one_message() -> None:
    assert messages(QUESTION, THOUGHT, SEARCH, SAID, CALL, OUTPUT) == [
        QUESTION,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": "{}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]


def test_what_has_no_words_stays_beside_its_neighbour() -> None:
    assert messages(THOUGHT, QUESTION) == [QUESTION]
    assert messages(QUESTION, THOUGHT) == [QUESTION]
    assert [one.items for one in grouped([QUESTION, THOUGHT, QUESTION])] == [
        [QUESTION, THOUGHT],
        [QUESTION],
    ]


def test_calls_of_both_kinds_come_back_as_they_went() -> None:
    told = [{**QUESTION}, CALL, CUSTOM, OUTPUT, CUSTOM_OUTPUT]
    assert list(items_of(messages(*told))) == told


def test_chats_older_calls_become_items() -> None:
    asked = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "1"}}
    replied = {"role": "function", "name": "f", "content": "2"}
    assert list(items_of([asked, replied])) == [
        {"type": "function_call", "call_id": "f", "name": "f", "arguments": "1"},
        {"type": "function_call_output", "call_id": "f", "output": "2"},
    ]
