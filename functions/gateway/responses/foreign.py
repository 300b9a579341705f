"""What a request names that lies at the upstream, under the gateway's own key. Pure.

One key serves many people, so whoever could name a response, a conversation, a file or a container
of somebody else's would read it. Ids that were noted when they were given out can be asked after;
what nobody has noted is refused, and so is what is answered where nobody here would see it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import BadRequest
from gateway.responses.items import Item, kind_of

MAX_NAMES = 100
REFUSED = {
    "background": "answers are given while the client waits, and memories stored with them",
    "conversation": "conversations lie at the upstream, where they are nobody's in particular;"
    " use X-Session-ID, or previous_response_id",
    "prompt": "stored prompts belong to the gateway's own account",
}
IDS = frozenset(
    {
        "comparison_response_id",
        "container_id",
        "file_id",
        "file_ids",
        "skill_id",
        "tunnel_id",
        "vector_store_ids",
    }
)
THE_CALLERS_OWN = frozenset(  # words and schemas, where these names mean nothing
    {"attributes", "env", "input_schema", "metadata", "parameters", "schema", "text"}
)
REFERENCE = frozenset({"type", "id", "status"})


@dataclass(frozen=True, slots=True)
class Named:
    """An id that the caller must have been given, and where it stands."""

    id: str
    param: str


def named(payload: Mapping[str, Any]) -> list[Named]:
    """Raises `BadRequest` for what nobody may name, and says why."""
    for field, reason in REFUSED.items():
        if payload.get(field):
            raise BadRequest(f"'{field}' is not served: {reason}.", param=field)
    if (param := next(_ids(payload, ""), None)) is not None:
        raise BadRequest(
            f"'{param}' names something under the gateway's own key, which many people share;"
            " send the content itself.",
            param=param,
        )
    names = list(_names(payload))
    if len(names) > MAX_NAMES:
        raise BadRequest(
            f"'input' holds more than {MAX_NAMES} reasoning items without encrypted_content.",
            param="input",
        )
    return names


def _names(payload: Mapping[str, Any]) -> Iterator[Named]:
    if previous := payload.get("previous_response_id"):
        yield Named(previous, "previous_response_id")
    items = payload.get("input")
    for i, item in enumerate(items if isinstance(items, list) else ()):
        if kind_of(item) == "reasoning":
            yield from _reasoning(item, f"input[{i}]")
        elif _is_reference(item):
            raise BadRequest(
                f"'input[{i}]' only names an item; send the item itself.", param=f"input[{i}]"
            )


def _reasoning(item: Item, param: str) -> Iterator[Named]:
    """The upstream looks reasoning up by its id, unless it comes sealed."""
    if not item.get("encrypted_content") and item.get("id"):
        yield Named(str(item["id"]), f"{param}.id")


def _is_reference(item: Item) -> bool:
    told = {name for name, value in item.items() if value is not None}
    return kind_of(item) == "item_reference" or ("id" in told and told <= REFERENCE)


def _ids(value: Any, path: str) -> Iterator[str]:
    """Where an object beneath `value` names a thing by its id, tool calls' containers included."""
    if isinstance(value, list):
        for i, one in enumerate(value):
            yield from _ids(one, f"{path}[{i}]")
    elif isinstance(value, dict):
        for name, one in value.items():
            where = f"{path}.{name}" if path else name
            if one and (name in IDS or (name == "container" and isinstance(one, str))):
                yield where
            elif name not in THE_CALLERS_OWN:
                yield from _ids(one, where)
