"""One message over HTTP: read, edited, pinned, deleted; and everything exported."""

from typing import Any

import httpx
import orjson
import pytest

from support.chats import Json, Person, assistant, block_of, remembered_texts, sent, user
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

DACHSHUND = "My dachshund is called Rex."
POODLE = "My dachshund is called Poodle."
ASKED = "What is my dachshund called?"


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def request(person: Person, method: str, id: str, body: Any = None) -> httpx.Response:
    return person.http.request(method, f"/v1/messages/{id}", headers=person.headers, json=body)


def patched(person: Person, id: str, **changes: Any) -> Json:
    message: Json = request(person, "PATCH", id, changes).raise_for_status().json()
    return message


def id_of(person: Person, session: str, text: str) -> str:
    (found,) = [one["id"] for one in person.told(session) if one["content"] == text]
    return str(found)


def exported(person: Person) -> list[Json]:
    answer = person.get("/v1/memory/export").raise_for_status()
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in answer.text.splitlines()]


def test_a_message_is_read_as_its_session_lists_it(alice: Person) -> None:
    alice.knows(DACHSHUND)
    (told,) = alice.told("notes")
    alone = request(alice, "GET", told["id"]).raise_for_status().json()
    assert alone == {**told, "importance": alone["importance"]}
    assert (told["content"], told["session_id"], told["pin"]) == (DACHSHUND, "notes", False)


def test_an_edited_message_is_quoted_as_edited(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.knows(DACHSHUND)
    alice.says(user(ASKED))
    assert DACHSHUND in remembered_texts(sent(upstream))
    message = patched(alice, id_of(alice, "notes", DACHSHUND), content=POODLE)
    assert message["content"] == POODLE
    alice.says(user(ASKED))
    texts = remembered_texts(sent(upstream))
    assert (POODLE in texts, DACHSHUND in texts) == (True, False)


def test_a_deleted_message_is_in_no_prompt_again(alice: Person, upstream: LoopbackUpstream) -> None:
    said = user(DACHSHUND)
    answer = assistant(alice.says(said, session="pets"))
    alice.says(user(ASKED), session="other")
    assert DACHSHUND in remembered_texts(sent(upstream))
    id = id_of(alice, "pets", DACHSHUND)
    deleted = request(alice, "DELETE", id).raise_for_status().json()
    assert deleted == {"id": id, "object": "memory.message.deleted", "deleted": True}
    assert request(alice, "GET", id).status_code == 404
    alice.says(user(ASKED), session="other")
    assert DACHSHUND not in remembered_texts(sent(upstream))
    alice.says(said, answer, user("And how old are dogs?"), session="pets")
    assert DACHSHUND not in alice.told_texts("pets")
    alice.says(user(ASKED), session="another")
    assert DACHSHUND not in remembered_texts(sent(upstream))


def test_a_tool_loop_does_not_repeat_what_was_deleted(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.knows(DACHSHUND)
    alice.says(user(ASKED), session="loop")
    assert DACHSHUND in block_of(sent(upstream))
    request(alice, "DELETE", id_of(alice, "notes", DACHSHUND)).raise_for_status()
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    loop = [
        user(ASKED),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "nothing"},
    ]
    alice.says(*loop, session="loop")
    assert DACHSHUND not in block_of(sent(upstream))


def test_a_pin_and_metadata_show(alice: Person) -> None:
    alice.knows(DACHSHUND)
    id = id_of(alice, "notes", DACHSHUND)
    patched(alice, id, pin=True)
    patched(alice, id, metadata={"kind": "pet"})
    (told,) = alice.told("notes")
    assert (told["pin"], told["metadata"], told["content"]) == (True, {"kind": "pet"}, DACHSHUND)
    assert patched(alice, id, pin=False)["pin"] is False


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, None),
        ({"content": ""}, 400, "content"),
        ({"pin": "yes"}, 400, "pin"),
        ({"role": "system"}, 400, "role"),
        ({"metadata": {"k": []}}, 400, "metadata.k"),
        ({"metadata": {str(n): n for n in range(17)}}, 400, "metadata"),
        ({"content": "a" * 10_001}, 413, "content"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    alice: Person, body: Json, status: int, param: str | None
) -> None:
    alice.knows(DACHSHUND)
    answer = request(alice, "PATCH", id_of(alice, "notes", DACHSHUND), body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert error["type"] == "invalid_request_error"
    assert alice.told_texts("notes") == [DACHSHUND]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_somebody_elses_message_is_as_one_that_never_was(
    alice: Person, bob: Person, method: str
) -> None:
    alice.knows(DACHSHUND)
    bob.knows("Nothing of note.")
    id = id_of(alice, "notes", DACHSHUND)
    theirs = request(bob, method, id, {"content": "Mine."})
    unknown = request(bob, method, id[:-4] + "0000", {"content": "Mine."})
    assert (theirs.status_code, unknown.status_code) == (404, 404)
    assert theirs.content == unknown.content
    assert alice.told_texts("notes") == [DACHSHUND]


def test_an_export_holds_everything_said_and_nothing_of_anybody_else(
    alice: Person, bob: Person
) -> None:
    alice.knows(DACHSHUND)
    answer = alice.says(user(ASKED), session="pets")
    bob.knows("Bob keeps bees.")
    lines = exported(alice)
    told = [one for session in alice.sessions() for one in alice.told(session["id"])]
    messages = {one["id"]: one for one in lines if one["type"] == "message"}
    assert {id: one["content"] for id, one in messages.items()} == {
        one["id"]: one["content"] for one in told
    }
    assert {DACHSHUND, ASKED, answer} <= {one["content"] for one in messages.values()}
    assert "bees" not in str(lines)
    assert lines[-1] == {"type": "end", "messages": len(told), "versions": 0}


def test_an_export_needs_a_caller(http: httpx.Client) -> None:
    assert http.get("/v1/memory/export").status_code == 401
