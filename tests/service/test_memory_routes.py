"""What is remembered, handed in and read back over HTTP."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.chats import Json, Person, assistant, remembered_texts, sent, user
from support.service import serving
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

DACHSHUND = "My dachshund is called Rex."


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def store(person: Person, body: Any, key: str | None = None) -> httpx.Response:
    headers = {**person.headers, **({"idempotency-key": key} if key else {})}
    return person.http.post("/v1/messages", json=body, headers=headers)


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_one_message_is_stored(alice: Person) -> None:
    answer = store(alice, {"role": "user", "content": DACHSHUND})
    assert answer.status_code == 201
    (item,) = answer.json()["data"]
    (told,) = alice.told(item["session_id"])
    assert (told["id"], told["content"], told["role"]) == (item["id"], DACHSHUND, "user")


def test_a_batch_keeps_order_time_and_metadata(alice: Person) -> None:
    times = ["2024-05-01T10:00:00Z", 1_714_557_700, "2024-05-01T12:05:00+02:00"]
    given = [
        {"role": role, "content": f"{n}", "session_id": "past", "at": at, "metadata": {"n": n}}
        for n, (role, at) in enumerate(zip(("user", "assistant", "user"), times, strict=True))
    ]
    answer = store(alice, {"messages": given})
    told = alice.told("past")
    assert [one["id"] for one in answer.json()["data"]] == [one["id"] for one in told]
    assert [one["content"] for one in told] == ["0", "1", "2"]
    assert [one["created_at"] for one in told] == [1_714_557_600, 1_714_557_700, 1_714_557_900]
    assert [one["metadata"] for one in told] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [one["parent"] for one in told] == [None, told[0]["id"], told[1]["id"]]


def test_a_batch_over_several_sessions_answers_in_the_order_given(alice: Person) -> None:
    given = [{"content": f"note {n}", "session_id": f"s{n % 3}"} for n in range(9)]
    items = store(alice, {"messages": given}).json()["data"]
    for n, item in enumerate(items):
        assert item["session_id"] == f"s{n % 3}"
        texts = {one["id"]: one["content"] for one in alice.told(item["session_id"])}
        assert texts[item["id"]] == f"note {n}"


def test_what_was_handed_in_is_remembered(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.knows(DACHSHUND)
    alice.says(user("What is my dachshund called?"))
    assert DACHSHUND in remembered_texts(sent(upstream))


def test_a_session_handed_in_goes_on_as_a_chat(alice: Person, upstream: LoopbackUpstream) -> None:
    given = [
        {"role": "user", "content": "first", "session_id": "past"},
        {"role": "assistant", "content": "the answer", "session_id": "past"},
    ]
    store(alice, {"messages": given})
    alice.says(user("second"), session="past")
    assert sent(upstream) == [user("first"), assistant("the answer"), user("second")]
    history = [user("first"), assistant("the answer"), user("second"), assistant("echo: second")]
    alice.says(*history, user("third"), session="past")
    assert len(alice.told("past")) == 6


def test_five_hundred_messages_are_stored_in_one_call(alice: Person) -> None:
    given = [{"content": f"note {n}", "session_id": "past"} for n in range(500)]
    assert len(store(alice, {"messages": given}).json()["data"]) == 500
    page = alice.get("/v1/sessions/past/messages?limit=200").json()
    texts = [one["content"] for one in page["data"]]
    while page["has_more"]:
        page = alice.get(f"/v1/sessions/past/messages?limit=200&after={page['next']}").json()
        texts += [one["content"] for one in page["data"]]
    assert texts == [f"note {n}" for n in range(500)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"content": "x"}] * 501}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}, {"content": ""}]}, "messages[1].content"),
        ({"content": 5}, "content"),
        ({"role": "narrator", "content": "x"}, "role"),
        ({"content": "x", "session_id": "a b"}, "session_id"),
        ({"messages": [{"content": "x", "session_id": "a b"}]}, "messages[0].session_id"),
        ({"content": "x", "at": "yesterday"}, "at"),
        ({"content": "x", "metadata": {"deep": {"er": 1}}}, "metadata.deep"),
        ({"content": "x", "metadata": {"long": "x" * 513}}, "metadata.long"),
        ({"content": "x", "metadata": {"long": "9" * 513}}, "metadata.long"),
        ({"content": "x", "metadata": {"k" * 65: 1}}, "metadata"),
        ({"content": "x", "metadata": {f"k{n}": n for n in range(17)}}, "metadata"),
        ({"messages": [{"content": "x", "metadata": {"a": []}}]}, "messages[0].metadata.a"),
        ({"content": "x", "colour": "red"}, "colour"),
        ({}, "content"),
    ],
)
def test_what_is_no_message_is_refused(alice: Person, body: Json, param: str) -> None:
    assert refused(store(alice, body), 400)["param"] == param
    assert alice.sessions() == []


def test_one_message_too_long_refuses_the_whole_batch(alice: Person) -> None:
    given = [{"content": "short"}, {"content": "x" * 10_001}]
    error = refused(store(alice, {"messages": given}), 413)
    assert (error["code"], error["param"]) == ("message_too_large", "messages[1].content")
    assert refused(store(alice, given[1]), 413)["param"] == "content"
    assert alice.sessions() == []
    assert store(alice, {"content": "x" * 10_000}).status_code == 201


def test_metadata_keeps_its_kinds_up_to_the_bounds(alice: Person) -> None:
    kinds = {
        "text": "x" * 512,
        "whole": 7,
        "part": 0.5,
        "switch": True,
        "none": None,
        "k" * 64: "7",
    }
    assert store(alice, {"content": "x", "metadata": kinds, "session_id": "s"}).status_code == 201
    assert alice.told("s")[0]["metadata"] == kinds


def test_a_repeated_key_stores_once_and_answers_the_same(alice: Person) -> None:
    given = {"messages": [{"content": f"note {n}", "session_id": f"s{n // 2}"} for n in range(4)]}
    first, second = (store(alice, given, key="import-1") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert alice.told_texts("s0") == ["note 0", "note 1"]
    assert [one["id"] for one in first.json()["data"][:2]] == [
        one["id"] for one in alice.told("s0")
    ]
    store(alice, given, key="import-2")
    assert len(alice.told("s0")) == 4


def test_a_key_used_with_other_messages_is_refused(alice: Person) -> None:
    store(alice, {"content": "one", "session_id": "s"}, key="import-1")
    answer = store(alice, {"content": "another", "session_id": "s"}, key="import-1")
    assert refused(answer, 400)["code"] == "idempotency_key_reused"
    assert alice.told_texts("s") == ["one"]


def test_sessions_are_listed_page_by_page(alice: Person) -> None:
    for n in range(7):
        store(alice, {"content": f"note {n}", "session_id": f"s{n}"})
    found, page = [], alice.get("/v1/sessions?limit=3").json()
    found += page["data"]
    while page["has_more"]:
        page = alice.get(f"/v1/sessions?limit=3&after={page['next']}").json()
        found += page["data"]
    assert sorted(one["id"] for one in found) == [f"s{n}" for n in range(7)]
    assert {(one["title"], one["messages"]) for one in found} == {
        (f"note {n}", 1) for n in range(7)
    }


def test_a_session_counts_its_messages_turns_and_tokens(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.says(user("first"), session="s")
    alice.says(user("second"), session="s")
    (session,) = alice.sessions()
    assert (session["messages"], session["turns"], session["title"]) == (4, 2, "first")
    assert session["tokens"] == sum(one["tokens"] for one in alice.told("s"))
    assert session["updated_at"] > session["created_at"] > 1_700_000_000


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", ""])
def test_a_limit_out_of_bounds_is_refused(alice: Person, limit: str) -> None:
    assert refused(alice.get(f"/v1/sessions?limit={limit}"), 400)["param"] == "limit"


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/s/messages"])
@pytest.mark.parametrize("after", ["", "m0000000000000000", "A", "a/b", "%00", "a" * 65])
def test_an_after_that_no_page_gave_is_refused(alice: Person, path: str, after: str) -> None:
    store(alice, {"content": "x", "session_id": "s"})
    assert refused(alice.get(f"{path}?after={after}"), 400)["param"] == "after"


def test_somebody_elses_session_is_not_there(
    alice: Person, bob: Person, upstream: LoopbackUpstream
) -> None:
    alice.says(user("Hello"), session="s")
    theirs = bob.get("/v1/sessions/s/messages")
    never = bob.get("/v1/sessions/never/messages")
    assert refused(theirs, 404) == refused(never, 404)
    assert bob.http.delete("/v1/sessions/s", headers=bob.headers).status_code == 404
    assert bob.sessions() == []
    assert alice.told_texts("s") == ["Hello", "echo: Hello"]


def test_the_same_session_id_of_two_people_is_two_sessions(
    alice: Person, bob: Person, upstream: LoopbackUpstream
) -> None:
    alice.says(user("Hello from Alice"), session="s")
    bob.says(user("Hello from Bob"), session="s")
    assert sent(upstream) == [user("Hello from Bob")]
    assert bob.told_texts("s") == ["Hello from Bob", "echo: Hello from Bob"]


def test_nobody_without_a_credential_reads_or_writes(http: httpx.Client) -> None:
    for method, path in (
        ("POST", "/v1/messages"),
        ("GET", "/v1/sessions"),
        ("GET", "/v1/sessions/s/messages"),
        ("DELETE", "/v1/sessions/s"),
        ("GET", "/v1/memory/receipts/r0000000000000000"),
    ):
        assert refused(http.request(method, path), 401)["code"] == "invalid_api_key"


def test_handing_in_counts_as_a_request(tmp_path: Path) -> None:
    """A body that is refused has cost its request too."""
    limits = {"REQUESTS_PER_MINUTE": "2", "TOKENS_PER_MINUTE": "10"}
    with serving(tmp_path, **limits) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        passed = store(person, {"content": "a note of more than ten tokens " * 5})
        assert passed.status_code == 201
        assert passed.headers["x-ratelimit-remaining-requests"] == "1"
        assert passed.headers["x-ratelimit-remaining-tokens"] == "10"
        refused(store(person, {"content": 5}), 400)
        answer = store(person, {"content": "one more"})
        assert refused(answer, 429)["code"] == "rate_limit_exceeded"
        assert int(answer.headers["retry-after"]) > 0
        assert len(person.told("notes")) == 1


def test_what_no_document_could_hold_refuses_the_whole_batch(tmp_path: Path) -> None:
    """Where the bound on characters is set beyond the store's own."""
    with (
        serving(tmp_path, MAX_MESSAGE_CHARACTERS="10000000") as running,
        httpx.Client(base_url=running.url, timeout=20) as http,
    ):
        person = Person(http, {"x-api-key": "sk-alice"})
        given = [{"content": "short"}, {"content": "x " * 256 * 1024}]
        error = refused(store(person, {"messages": given}), 413)
        assert (error["code"], error["param"]) == ("message_too_large", "messages[1].content")
        assert person.sessions() == []
        assert store(person, {"content": "x " * 255 * 1024}).status_code == 201


def stored_text(folder: Path) -> str:
    """Every document of the store, as text."""
    with closing(sqlite3.connect(folder / "memory.db")) as db:
        return "".join(bytes(row[0]).decode() for row in db.execute("SELECT fields FROM documents"))


def pointers(folder: Path) -> int:
    query = "SELECT count(*) FROM documents WHERE path LIKE '%/fingerprints/%'"
    with closing(sqlite3.connect(folder / "memory.db")) as db:
        return int(db.execute(query).fetchone()[0])


def test_a_deleted_session_is_gone_from_store_and_recall(
    alice: Person, folder: Path, upstream: LoopbackUpstream
) -> None:
    question = "What is my borzoi called?"
    before = pointers(folder)
    alice.says(user("My borzoi is called Anastasia."), session="gone")
    receipt = alice.ask(user("Anastasia is my borzoi."), session="gone")
    for n in range(26):  # so that some of it lies in a segment
        alice.says(user(f"Remark {n} about the borzoi"), session="gone")
    alice.knows("My borzoi is not called Igor.")
    assert "Anastasia" in stored_text(folder)
    assert pointers(folder) == before + 1
    answer = alice.http.delete("/v1/sessions/gone", headers=alice.headers)
    assert answer.json() == {
        "id": "gone",
        "object": "session.deleted",
        "deleted": True,
        "messages": 56,
    }
    assert "Anastasia" not in stored_text(folder)
    assert pointers(folder) == before
    assert refused(alice.get("/v1/sessions/gone/messages"), 404)["code"] == "session_not_found"
    path = f"/v1/memory/receipts/{receipt.headers['x-memory-receipt']}"
    assert alice.get(path).status_code == 404
    assert alice.http.delete("/v1/sessions/gone", headers=alice.headers).status_code == 404
    alice.says(user(question), session="new")
    assert remembered_texts(sent(upstream)) == ["My borzoi is not called Igor."]
    assert {one["id"] for one in alice.sessions()} == {"notes", "other", "new"}
