"""The preview's answer, in lines that a person reads. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from gateway.upstream.preview.sent import Message, text_of

QUOTED_CHARACTERS = 200

Json = dict[str, Any]


def report(sent: list[Message]) -> str:
    remembered = [line for message in sent for line in message.remembered or ()]
    asked = [m.text for m in sent if m.role == "user" and m.remembered is None]
    lines = [
        "This is a preview: no upstream is configured, so no model has answered.",
        "Set UPSTREAM_BASE (and UPSTREAM_API_KEY) to have one answer.",
        "",
        f"Would have been sent: {_amount(sent)}.",
        *_by_role(sent),
    ]
    if asked:
        lines += ["", "The last user message begins:", asked[-1][:QUOTED_CHARACTERS]]
    lines += ["", f"Remembered lines: {len(remembered)}", *map(_remembered_line, remembered)]
    return "\n".join(lines)


def _by_role(sent: list[Message]) -> Iterator[str]:
    for role in Counter(message.role for message in sent):
        yield f"- {role}: {_amount([message for message in sent if message.role == role])}"


def _amount(messages: list[Message]) -> str:
    count, tokens = len(messages), sum(message.tokens for message in messages)
    return f"{count} {'message' if count == 1 else 'messages'}, {tokens} tokens"


def _remembered_line(line: Json) -> str:
    words = {
        name: " ".join(text_of(line.get(name)).split()) for name in ("id", "role", "date", "text")
    }
    return "- [{date}] {role}: {text} ({id})".format_map(words)
