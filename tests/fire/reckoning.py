"""After a storm: what is stored, what is still reserved, what is left open."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from support.chats import Person
from support.service import Service


class Ledger:
    """The documents of a service on SQLite, read beside it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "memory.db"

    def tokens_counted(self) -> float:
        """Of all days and subjects: what was used, and what is held."""
        return float(sum(one.get("tokens", 0.0) for one in self._counters()))

    def leaked(self, held: int) -> int:
        """Reservations of `held` tokens that nobody settled. Turns must use fewer, together."""
        return int(self.tokens_counted() // held)

    def _counters(self) -> Iterable[Mapping[str, Any]]:
        with closing(sqlite3.connect(self._file)) as db:
            rows = db.execute("SELECT fields FROM documents WHERE path LIKE '%/subjects/%'")
            return [orjson.loads(fields) for (fields,) in rows.fetchall()]


@dataclass(frozen=True, slots=True)
class Kept:
    """How often each acknowledged turn is stored, and every other text that is."""

    acknowledged: int
    missing: list[str]
    doubled: list[str]

    @property
    def sound(self) -> bool:
        return not self.missing and not self.doubled


def kept(service: Service, acknowledged: Mapping[str, set[str]]) -> Kept:
    """`acknowledged`: the questions of each person (an API key), every one asked once."""
    missing: list[str] = []
    doubled: list[str] = []
    for key, questions in acknowledged.items():
        texts = _texts(service, key)
        missing += [one for one in questions if not texts[one]]
        doubled += [text for text, count in texts.items() if count > 1 and text.startswith("q")]
    return Kept(sum(map(len, acknowledged.values())), missing, doubled)


def _texts(service: Service, key: str) -> Counter[str]:
    """Of the questions that have an answer, how often each is stored."""
    found: Counter[str] = Counter()
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as http:
        person = Person(http, {"x-api-key": key})
        for session in _all(person, "/v1/sessions"):
            messages = list(_all(person, f"/v1/sessions/{session['id']}/messages"))
            answered = {one["parent"] for one in messages if one["role"] == "assistant"}
            asked = [one for one in messages if one["role"] == "user" and one["id"] in answered]
            found.update(one["content"] for one in asked)
    return found


def _all(person: Person, path: str) -> Iterator[dict[str, Any]]:
    after: str | None = ""
    while after is not None:
        page = person.get(f"{path}?limit=100{after}").raise_for_status().json()
        yield from page["data"]
        after = f"&after={page['next']}" if page["next"] else None


def established(process: psutil.Process, port: int) -> int:
    """Connections of a process with somebody's port, either way."""
    ends = [
        (one.laddr, one.raddr)
        for one in process.net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED
    ]
    return sum(port in {here.port, there.port} for here, there in ends if there)
