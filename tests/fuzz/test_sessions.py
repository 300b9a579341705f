"""Sessions against a model: appended to, edited, cut, forked, deleted, erased, in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fuzz.effort import effort
from support.chats import Json, Person, assistant, user

pytestmark = [pytest.mark.service, pytest.mark.timeout(0)]

NAMES = ("a", "b", "c")
CHOICES = st.integers(0, 1_000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)


@dataclass
class Session:
    """What is stored, in order; `changed` by hand, so that no resent history is alike any more."""

    told: list[tuple[str, str]] = field(default_factory=list)
    forked: list[tuple[str, str]] = field(default_factory=list)
    changed: bool = False


class Remembering(RuleBasedStateMachine):
    """`new_person` gives each run a memory of its own."""

    new_person: ClassVar[Callable[[], Person]]

    def __init__(self) -> None:
        super().__init__()
        self._person = type(self).new_person()
        self._sessions: dict[str, Session] = {}
        self._asked = 0

    @rule(name=st.sampled_from(NAMES), texts=st.lists(TEXTS, min_size=1, max_size=30))
    def append(self, name: str, texts: list[str]) -> None:
        given = [{"content": text, "session_id": name} for text in texts]
        self._call("POST", "/v1/messages", {"messages": given})
        session = self._sessions.setdefault(name, Session())
        session.told += [("user", text) for text in texts]
        session.changed = True

    @rule(name=st.sampled_from(NAMES))
    def chat(self, name: str) -> None:
        question = self._question()
        answer = self._person.says(user(question), session=name)
        session = self._sessions.setdefault(name, Session())
        session.told += [("user", question), ("assistant", answer)]

    @precondition(lambda self: self._forkable())
    @rule(choice=CHOICES)
    def fork(self, choice: int) -> None:
        """The last question is asked in other words, with all that was said before it."""
        names = self._forkable()
        name = names[choice % len(names)]
        session, question = self._sessions[name], self._question()
        earlier, last = session.told[:-2], session.told[-2:]
        history = [user(text) if role == "user" else assistant(text) for role, text in earlier]
        answer = self._person.says(*history, user(question), session=name)
        session.told = [*earlier, ("user", question), ("assistant", answer)]
        session.forked += last

    @precondition(lambda self: bool(self._sessions))
    @rule(choice=CHOICES, text=TEXTS)
    def edit(self, choice: int, text: str) -> None:
        name, session = self._any(choice)
        place = choice % len(session.told)
        self._call("PATCH", f"/v1/messages/{self._id(name, place)}", {"content": text})
        session.told[place] = (session.told[place][0], text)
        session.changed = True

    @precondition(lambda self: any(len(one.told) > 1 for one in self._sessions.values()))
    @rule(choice=CHOICES)
    def delete(self, choice: int) -> None:
        name, session = self._any(choice)
        if len(session.told) < 2:
            return
        place = choice % len(session.told)
        self._call("DELETE", f"/v1/messages/{self._id(name, place)}")
        del session.told[place]
        session.changed = True

    @precondition(lambda self: bool(self._sessions))
    @rule(choice=CHOICES)
    def delete_session(self, choice: int) -> None:
        name, _ = self._any(choice)
        self._call("DELETE", f"/v1/sessions/{name}")
        del self._sessions[name]

    @precondition(lambda self: len(self._sessions) == len(NAMES))
    @rule()
    def erase(self) -> None:
        self._call("DELETE", "/v1/memory")
        self._sessions.clear()

    @invariant()
    def remembers_what_the_model_does(self) -> None:
        assert {one["id"] for one in self._person.sessions()} == set(self._sessions)
        for name, session in self._sessions.items():
            told = self._person.told(name)
            active = [(one["role"], one["content"]) for one in told if one["active"]]
            others = [(one["role"], one["content"]) for one in told if not one["active"]]
            assert active == session.told
            assert sorted(others) == sorted(session.forked)

    def _forkable(self) -> list[str]:
        return [
            name
            for name, one in self._sessions.items()
            if not one.changed and len(one.told) >= 4 and not one.forked
        ]

    def _question(self) -> str:
        self._asked += 1
        return f"How much does a dachshund of number {self._asked} usually weigh, roughly?"

    def _any(self, choice: int) -> tuple[str, Session]:
        name = sorted(self._sessions)[choice % len(self._sessions)]
        return name, self._sessions[name]

    def _id(self, name: str, place: int) -> str:
        active = [one for one in self._person.told(name) if one["active"]]
        return str(active[place]["id"])

    def _call(self, method: str, path: str, body: Json | None = None) -> None:
        answer = self._person.http.request(method, path, json=body, headers=self._person.headers)
        answer.raise_for_status()


def test_a_memory_is_what_was_done_to_it(
    http: httpx.Client, stranger: Callable[[], dict[str, str]]
) -> None:
    class Here(Remembering):
        new_person = staticmethod(lambda: Person(http, stranger()))

    run_state_machine_as_test(Here, settings=effort(6, steps=12))
