"""The Responses API's items as chat's messages, and back. Pure.

What the model says in one go is one message: its texts, its calls, and what else comes with them
(reasoning, searches), which has no words of its own and stays beside its neighbour. Follows
https://platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.chat.wire import Message, text_of

Item = Mapping[str, Any]

CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
WORDLESS = (
    "reasoning",
    "compaction",
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_call",
    "mcp_list_tools",
)
KNOWN = ("message", *CALLS, *OUTPUTS, *WORDLESS)


@dataclass(slots=True)
class Group:
    """A message and the items it stands for."""

    message: Message
    items: list[Item] = field(default_factory=list)


def kind_of(item: Item) -> str:
    """Its type, which a message may leave out."""
    kind = item.get("type")
    return str(kind) if kind else "message" if "role" in item else "item_reference"


def grouped(items: Sequence[Item]) -> list[Group]:
    """All items in their order, each in one group."""
    groups: list[Group] = []
    for run in _runs(items):
        if _says_something(run) or not groups:
            groups.append(Group(_message(run), run))
        else:
            groups[-1].items += run
    if len(groups) > 1 and not _says_something(groups[0].items):
        first, *groups = groups
        groups[0].items[:0] = first.items
    return groups


def spoken_by_model(items: Sequence[Item]) -> dict[str, Any]:
    """The message that a run of the model's items stands for, as chat would have it."""
    said = [text_of(one) for one in items if kind_of(one) == "message"]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said) or None}
    if calls := [call_of(one) for one in items if kind_of(one) in CALLS]:
        message["tool_calls"] = calls
    return message


def call_of(item: Item) -> dict[str, Any]:
    """A model's call as chat has it."""
    if kind_of(item) == "function_call":
        function = _told(item, "name", "arguments")
        return {"id": item["call_id"], "type": "function", "function": function}
    return {"id": item["call_id"], "type": "custom", "custom": _told(item, "name", "input")}


def items_of(messages: Sequence[Message]) -> Iterator[Item]:
    """Messages that did not come as items, such as remembered ones."""
    custom: set[str] = set()
    for message in messages:
        role, text = str(message["role"]), text_of(message)
        if role in {"tool", "function"}:
            call = str(message.get("tool_call_id") or message.get("name"))
            kind = OUTPUTS[call in custom]
            yield {"type": kind, "call_id": call, "output": text}
            continue
        if text:
            yield {"role": role, "content": text}
        for called in _called(message):
            if called["type"] == "custom_tool_call":
                custom.add(called["call_id"])
            yield called


def _runs(items: Sequence[Item]) -> Iterator[list[Item]]:
    run: list[Item] = []
    for item in items:
        if run and not (_is_models(item) and _is_models(run[0])):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _is_models(item: Item) -> bool:
    kind = kind_of(item)
    return kind in CALLS or kind in WORDLESS or item.get("role") == "assistant"


def _says_something(run: Sequence[Item]) -> bool:
    return any(kind_of(one) not in WORDLESS for one in run)


def _message(run: Sequence[Item]) -> Message:
    if _is_models(run[0]):
        return spoken_by_model(run)
    item, kind = run[0], kind_of(run[0])
    if kind == "message":
        return {"role": item["role"], "content": item.get("content")}
    if kind in OUTPUTS:
        return {"role": "tool", "tool_call_id": item["call_id"], "content": item.get("output")}
    return {"role": "user", "content": [{**item, "type": kind}]}  # counted as a medium


def _called(message: Message) -> Iterator[dict[str, Any]]:
    for call in message.get("tool_calls") or ():
        if call.get("type") == "custom":
            told = _told(call.get("custom"), "name", "input")
            yield {"type": "custom_tool_call", "call_id": str(call.get("id")), **told}
        else:
            told = _told(call.get("function"), "name", "arguments")
            yield {"type": "function_call", "call_id": str(call.get("id")), **told}
    if function := message.get("function_call"):  # chat's older form, whose call has no id
        told = _told(function, "name", "arguments")
        yield {"type": "function_call", "call_id": told["name"], **told}


def _told(fields: Any, *names: str) -> dict[str, str]:
    given = fields if isinstance(fields, Mapping) else {}
    return {name: str(given.get(name) or "") for name in names}
