"""A person at an OpenAI client, as tests of the running service see one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from gateway.chat.prompt import CLOSING, NOTE, OPENING
from support.upstream import LoopbackUpstream

Json = dict[str, Any]

UNRELATED = (
    "Tuesday's meeting moved to the blue room.",
    "Rent went up by forty euros in March.",
    "Spinach, garlic, lemons and two onions from the market.",
    "Violin lessons begin again after Easter.",
    "Our train to Lisbon leaves at a quarter past seven.",
    "Grandmother's recipe needs buckwheat flour.",
    "Version twelve of the report went to the printer.",
    "Lucas prefers the window seat on long flights.",
)


def system(text: str) -> Json:
    return {"role": "system", "content": text}


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def assistant(text: str) -> Json:
    return {"role": "assistant", "content": text}


@dataclass(frozen=True)
class Person:
    """`ask` sends one request; `told` is what the service remembers of a session."""

    http: httpx.Client
    headers: dict[str, str]

    def ask(
        self,
        *messages: Json,
        session: str | None = None,
        memory: str | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> httpx.Response:
        named = {"x-session-id": session, "x-memory": memory, "idempotency-key": key}
        headers = {**self.headers, **{name: value for name, value in named.items() if value}}
        body = {"model": "m", "messages": list(messages), **fields}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def says(self, *messages: Json, **named: Any) -> str:
        """The answer's text; the request must succeed."""
        answer = self.ask(*messages, **named).raise_for_status().json()
        return str(answer["choices"][0]["message"]["content"])

    def keeps(self, *notes: str, session: str = "notes") -> None:
        """Messages handed in as a past, a minute after one another."""
        given = [
            {"role": "user", "content": note, "session_id": session, "at": 1_700_000_000 + 60 * n}
            for n, note in enumerate(notes)
        ]
        answer = self.http.post("/v1/messages", json={"messages": given}, headers=self.headers)
        answer.raise_for_status()

    def knows(self, note: str) -> None:
        """The note, among others that have nothing to do with it."""
        self.keeps(*UNRELATED, session="other")
        self.keeps(note)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, headers=self.headers)

    def told(self, session: str) -> list[Json]:
        found = self.get(f"/v1/sessions/{session}/messages?limit=200").raise_for_status().json()
        return list(found["data"])

    def told_or_none(self, session: str) -> list[Json]:
        """Nothing when there is no such session yet."""
        found = self.get(f"/v1/sessions/{session}/messages?limit=200")
        return [] if found.status_code == 404 else list(found.raise_for_status().json()["data"])

    def told_texts(self, session: str) -> list[str]:
        return [one["content"] for one in self.told(session)]

    def active_texts(self, session: str) -> list[str]:
        return [one["content"] for one in self.told(session) if one["active"]]

    def sessions(self) -> list[Json]:
        return list(self.get("/v1/sessions?limit=200").raise_for_status().json()["data"])


def sent(upstream: LoopbackUpstream) -> list[Json]:
    """The messages of the latest request that reached the upstream."""
    return list(upstream.requests[-1].json["messages"])


def is_block(message: Json) -> bool:
    return str(message["content"]).startswith(OPENING)


def block_of(messages: Sequence[Json]) -> str:
    """The text of the memory block; empty when there is none."""
    found = [str(message["content"]) for message in messages if is_block(message)]
    assert len(found) <= 1
    return found[0] if found else ""


def lines_of(messages: Sequence[Json]) -> list[Json]:
    """The remembered lines of a prompt, which must be well-formed and nothing else in the block."""
    if not (block := block_of(messages)):
        return []
    opening, note, *lines, closing = block.split("\n")
    assert (opening, note, closing) == (OPENING, NOTE, CLOSING)
    return [orjson.loads(line) for line in lines]


def remembered_texts(messages: Sequence[Json]) -> list[str]:
    return [line["text"] for line in lines_of(messages)]


def plain(messages: Sequence[Json]) -> list[Json]:
    """The prompt without its memory block."""
    return [message for message in messages if not is_block(message)]
