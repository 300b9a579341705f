"""What the console tends over HTTP: titles, the archive, what is staged, items by date and role."""

import httpx
import orjson
import pytest

from support.chats import Person, user
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

TOLD = "My dachshund is called Rex."
LONG_AGO = 1_700_000_000
ARCHIVED = {
    "type": "message",
    "session_id": "attic",
    "role": "user",
    "content": TOLD,
    "at": LONG_AGO,
    "archived": True,
}


@pytest.fixture
def ada(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


def call(person: Person, method: str, path: str, body: object = None) -> httpx.Response:
    return person.http.request(method, path, headers=person.headers, json=body)


def test_a_title_is_changed_and_nothing_else(ada: Person) -> None:
    ada.says(user(TOLD), session="pets")
    (before,) = ada.sessions()
    told = call(ada, "PATCH", "/v1/sessions/pets", {"title": "  Of \n dogs "})
    assert told.raise_for_status().json() == {**before, "title": "Of dogs"}
    assert ada.sessions() == [{**before, "title": "Of dogs"}]
    ada.says(user("And he likes apples."), session="pets")
    assert ada.sessions()[0]["title"] == "Of dogs"


@pytest.mark.parametrize("title", [None, "", " \n", "x" * 81, 7, ["x"]], ids=repr)
def test_a_title_has_letters_and_an_end(ada: Person, title: object) -> None:
    ada.says(user(TOLD), session="pets")
    answer = call(ada, "PATCH", "/v1/sessions/pets", {"title": title})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "title")


def test_what_is_archived_is_listed_and_brought_back(ada: Person) -> None:
    call(ada, "POST", "/v1/memory/import", ARCHIVED).raise_for_status()
    (told,) = call(ada, "GET", "/v1/memory/archive").raise_for_status().json()["data"]
    assert (told["content"], told["session_id"], told["archived"]) == (TOLD, "attic", True)
    assert told["deleted_at"] > told["archived_at"]
    path = f"/v1/messages/{told['id']}/restore"
    back = call(ada, "POST", path).raise_for_status().json()
    assert (back["content"], back["session_id"], back["pin"]) == (TOLD, "attic", True)
    assert call(ada, "GET", "/v1/memory/archive").json()["data"] == []
    assert ada.told_texts("attic") == [TOLD]
    again = call(ada, "POST", path)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "message_not_found")


@pytest.mark.parametrize("after", ["a/b", "..", "ä", ""], ids=repr)
def test_a_page_of_the_archive_begins_where_one_ended(ada: Person, after: str) -> None:
    answer = call(ada, "GET", f"/v1/memory/archive?after={after}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")


def test_what_waits_is_listed_until_it_is_committed(
    ada: Person, upstream: LoopbackUpstream
) -> None:
    staged = {"op": "create", "kind": "other", "name": "Rex", "statements": [{"text": TOLD}]}
    answer = Answer.json(completion(orjson.dumps({"operations": [staged]}).decode()))
    upstream.queue(answer)
    talk = {"session_id": "pets", "memory_input": TOLD}
    call(ada, "POST", "/v1/memory/process-session", talk).raise_for_status()
    (waiting,) = call(ada, "GET", "/v1/memory/staging").raise_for_status().json()["data"]
    assert (waiting["session_id"], waiting["operations"]) == ("pets", 1)
    call(ada, "POST", "/v1/memory/commit-session", {"session_id": "pets"}).raise_for_status()
    assert call(ada, "GET", "/v1/memory/staging").json()["data"] == []


def test_items_are_listed_by_date_and_role(ada: Person) -> None:
    messages = [
        {"content": "Long ago.", "at": LONG_AGO},
        {"content": "Then.", "at": LONG_AGO + 60, "role": "assistant"},
        {"content": "Later.", "at": LONG_AGO + 120},
    ]
    call(ada, "POST", "/v1/messages", {"messages": messages}).raise_for_status()

    def listed(asked: str) -> list[str]:
        answer = call(ada, "GET", f"/v1/items?{asked}").raise_for_status()
        return sorted(one["content"] for one in answer.json()["data"])

    assert listed(f"since={LONG_AGO + 60}") == ["Later.", "Then."]
    assert listed(f"until={LONG_AGO + 60}") == ["Long ago."]
    assert listed(f"since={LONG_AGO}&until={LONG_AGO + 121}&role=assistant") == ["Then."]
    assert call(ada, "GET", "/v1/items?since=soon").json()["error"]["param"] == "since"
