"""Items over HTTP: one kind of thing on top of the message log."""

from collections.abc import Callable

import httpx
import pytest

from support.chats import Json, Person, user

pytestmark = pytest.mark.service

FACT = "The oven needs ten minutes more than it says."


@pytest.fixture
def ada(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Callable[[], str]) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def stored(person: Person, content: str = FACT, key: str | None = None, **fields: str) -> Json:
    headers = {**person.headers, **({"idempotency-key": key} if key else {})}
    answer = person.http.post("/v1/items", json={"content": content, **fields}, headers=headers)
    assert answer.status_code == 201, answer.text
    item: Json = answer.json()
    return item


def listed(person: Person, query: str = "") -> list[Json]:
    return list(person.get(f"/v1/items{query}").raise_for_status().json()["data"])


def test_an_item_is_stored_read_and_listed_the_same(ada: Person) -> None:
    item = stored(ada, item_type="fact", thread_id="kitchen")
    assert {name: item[name] for name in item if name not in {"id", "created_at"}} == {
        "object": "item",
        "workspace_id": "personal",
        "thread_id": "kitchen",
        "content": FACT,
        "item_type": "fact",
        "role": "user",
        "pin": False,
    }
    assert ada.get(f"/v1/items/{item['id']}").json() == item
    assert listed(ada) == [item]


def test_an_item_is_a_message_by_the_same_id(ada: Person) -> None:
    item = stored(ada, item_type="note")
    path = f"/v1/messages/{item['id']}"
    told = ada.get(path).raise_for_status().json()
    assert (told["content"], told["session_id"], told["role"]) == (FACT, "notes", "user")
    hits = ada.get("/v1/memory/search?query=oven").json()["data"]
    assert [hit["id"] for hit in hits] == [item["id"]]
    ada.http.patch(path, json={"content": "Changed."}, headers=ada.headers).raise_for_status()
    changed = ada.get(f"/v1/items/{item['id']}").json()
    assert (changed["content"], changed["item_type"]) == ("Changed.", "note")
    ada.http.delete(path, headers=ada.headers).raise_for_status()
    gone = ada.get(f"/v1/items/{item['id']}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "ITEM_NOT_FOUND")
    assert listed(ada) == []


def test_what_a_chat_said_is_items_of_type_message(ada: Person) -> None:
    ada.says(user("Good morning."), session="morning")
    assert [(one["content"], one["item_type"], one["thread_id"]) for one in listed(ada)] == [
        ("echo: Good morning.", "message", "morning"),
        ("Good morning.", "message", "morning"),
    ]


def test_types_and_threads_are_chosen(ada: Person) -> None:
    types = ("message", "note", "fact", "summary")
    for type in types:
        stored(ada, f"a {type}", item_type=type, thread_id=f"of-{type}")
    for type in types:
        assert [one["content"] for one in listed(ada, f"?item_type={type}")] == [f"a {type}"]
        for name in ("thread_id", "session_id", "session", "conversation_id"):
            found = listed(ada, f"?{name}=of-{type}")
            assert [one["content"] for one in found] == [f"a {type}"]
    assert listed(ada, "?thread_id=never") == []
    assert listed(ada, "?thread_id=of-fact&item_type=note") == []
    assert [one["item_type"] for one in listed(ada)] == list(reversed(types))


@pytest.mark.parametrize("name", ["thread_id", "session_id", "session", "conversation_id"])
def test_a_thread_has_many_names(ada: Person, name: str) -> None:
    assert stored(ada, **{name: "kitchen"})["thread_id"] == "kitchen"


def test_pages_hold_each_item_once(ada: Person) -> None:
    ids = [stored(ada, f"note {n}", thread_id=f"t{n % 6}")["id"] for n in range(11)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=3&after={cursor}" if cursor else "?limit=3"
        page = ada.get(f"/v1/items{query}").raise_for_status().json()
        assert page["has_more"] == (page["next"] is not None)
        found += [one["id"] for one in page["data"]]
        cursor = page["next"]
    assert (len(found), set(found)) == (11, set(ids))


def test_a_key_stores_one_item(ada: Person) -> None:
    first = stored(ada, key="k")
    assert stored(ada, key="k") == first
    assert listed(ada) == [first]


def test_anothers_item_is_not_there(ada: Person, bob: Person) -> None:
    item = stored(ada)
    theirs = bob.get(f"/v1/items/{item['id']}")
    never = bob.get(f"/v1/items/{item['id'][:-4]}0000")
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (404, "ITEM_NOT_FOUND")
    assert theirs.content == never.content == bob.get("/v1/items/x").content
    assert listed(bob) == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "content"),
        ({"content": ""}, 400, "content"),
        ({"content": "c", "item_type": "dream"}, 400, "item_type"),
        ({"content": "c", "thread_id": "a b"}, 400, "thread_id"),
        ({"content": "c", "thread_id": "a", "session_id": "b"}, 400, "session_id"),
        ({"content": "c", "extra": 1}, 400, "extra"),
        ({"content": "c" * 10_001}, 413, "content"),
        ({"content": "c", "workspace_id": "ws_other"}, 403, "workspace_id"),
    ],
)
def test_what_is_malformed_is_refused_and_nothing_stored(
    ada: Person, body: Json, status: int, param: str
) -> None:
    answer = ada.http.post("/v1/items", json=body, headers=ada.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert listed(ada) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("after=nowhere", "after"),
        ("after=-1-", "after"),
        ("item_type=dream", "item_type"),
        ("session=a&thread_id=b", "session"),
        ("thread_id=", "thread_id"),
    ],
)
def test_a_malformed_query_is_refused(ada: Person, query: str, param: str) -> None:
    answer = ada.get(f"/v1/items?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_items_of_a_workspace_name_it(ada: Person) -> None:
    made = ada.http.post("/v1/workspaces", json={"name": "Household"}, headers=ada.headers)
    id = made.json()["id"]
    there = Person(ada.http, {**ada.headers, "x-workspace-id": id})
    item = stored(there)
    assert item["workspace_id"] == id
    assert listed(there) == [item]
    assert ada.get(f"/v1/items/{item['id']}").status_code == 404
    assert listed(ada) == []


def test_an_odd_type_in_a_clients_own_metadata_is_a_message(ada: Person) -> None:
    for value in ("dream", 7, None):
        given = {"content": f"of {value}", "metadata": {"item_type": value}}
        ada.http.post("/v1/messages", json=given, headers=ada.headers).raise_for_status()
    assert [one["item_type"] for one in listed(ada)] == ["message"] * 3


def test_new_metadata_leave_an_item_what_it_is(ada: Person) -> None:
    item = stored(ada, item_type="note")
    path = f"/v1/messages/{item['id']}"

    def patched(**metadata: object) -> httpx.Response:
        return ada.http.patch(path, json={"metadata": metadata}, headers=ada.headers)

    assert patched(color="red").raise_for_status().json()["metadata"] == {
        "color": "red",
        "item_type": "note",
    }
    assert ada.get(f"/v1/items/{item['id']}").json() == item
    assert patched(item_type="fact").status_code == 200
    assert ada.get(f"/v1/items/{item['id']}").json()["item_type"] == "fact"
    full = patched(**{f"n{n}": n for n in range(16)})
    assert (full.status_code, full.json()["error"]["param"]) == (400, "metadata")


def test_a_messages_own_item_type_is_no_items(ada: Person) -> None:
    given = {"content": FACT, "metadata": {"item_type": "invoice"}}
    answer = ada.http.post("/v1/messages", json=given, headers=ada.headers)
    path = f"/v1/messages/{answer.json()['data'][0]['id']}"
    patched = ada.http.patch(path, json={"metadata": {}}, headers=ada.headers)
    assert patched.json()["metadata"] == {}
