"""OpenAI's export of ChatGPT, `conversations.json`: of each conversation the branch last seen.

A conversation is a tree of nodes under `mapping`; `current_node` is the leaf of the branch that the
person sees. Kept is what the person and the assistant said to each other: no hidden instruction, no
call of a tool, no thought, no medium.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.portability.dates import moment
from gateway.portability.items import Item, Malformed, Said, Session, Skipped, session_name

ROLES = ("user", "assistant")
TEXTS = ("text", "multimodal_text")
TITLE_CHARACTERS = 80

Fields = Mapping[str, Any]


def is_conversation(fields: Fields) -> bool:
    return isinstance(fields.get("mapping"), dict)


def items_of(fields: Fields, line: int) -> Iterator[Item]:
    """All of a conversation carries the line that it begins on. Raises `Malformed`."""
    branch = _branch(fields)
    given = fields.get("conversation_id") or fields.get("id")
    session = session_name(given, f"line {line}")
    began = moment(fields.get("create_time")) or 0.0
    title = fields.get("title")
    yield Session(
        line=line,
        id=session,
        title=" ".join(title.split())[:TITLE_CHARACTERS] if isinstance(title, str) else "",
        created_at=began,
        updated_at=moment(fields.get("update_time")) or began,
    )
    for node, message in branch:
        said = _said(node, message, session, line, began)
        yield said or Skipped(line)


def _branch(fields: Fields) -> list[tuple[str, Fields]]:
    """Ids and messages from the root to the leaf. A tree that bites its tail is refused."""
    nodes = {id: node for id, node in fields["mapping"].items() if isinstance(node, dict)}
    id, seen = _leaf(fields.get("current_node"), nodes), set[str]()
    found: list[tuple[str, Fields]] = []
    while isinstance(id, str) and id in nodes:
        if id in seen:
            raise Malformed("The tree of the conversation runs in a circle.")
        seen.add(id)
        if isinstance(message := nodes[id].get("message"), dict):
            found.append((id, message))
        id = nodes[id].get("parent")
    return found[::-1]


def _leaf(current: object, nodes: Mapping[str, Fields]) -> object:
    """The last node that is nobody's parent, where none is said to be the current one."""
    if isinstance(current, str) and current in nodes:
        return current
    parents = {node.get("parent") for node in nodes.values() if isinstance(node.get("parent"), str)}
    return next((id for id in reversed([*nodes]) if id not in parents), None)


def _said(node: str, message: Fields, session: str, line: int, began: float) -> Said | None:
    author, metadata = message.get("author"), message.get("metadata")
    role = author.get("role") if isinstance(author, dict) else None
    hidden = isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation")
    to_all = message.get("recipient") in (None, "all")
    text = _text(message.get("content"))
    if role not in ROLES or hidden or not to_all or not text.strip():
        return None
    return Said(
        line=line,
        session=session,
        role=role,
        content=text,
        name=f"node {node}",
        at=moment(message.get("create_time")) or began or None,
    )


def _text(content: object) -> str:
    if not isinstance(content, dict) or content.get("content_type", "text") not in TEXTS:
        return ""
    parts = content.get("parts")
    texts = [_part(part) for part in parts] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if text)


def _part(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""
