"""A past brought back, or along from elsewhere, over HTTP; and exported for reading."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from support.chats import Json, Person, assistant, remembered_texts, sent, user
from support.service import serving
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

ASKED = "What is my dachshund called?"
REX = "My dachshund is called Rex."


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def export(person: Person, format: str = "jsonl") -> bytes:
    return person.get(f"/v1/memory/export?format={format}").raise_for_status().content


def bring(person: Person, body: bytes | Iterator[bytes], query: str = "") -> httpx.Response:
    headers = {**person.headers, "content-type": "application/octet-stream"}
    return person.http.post(f"/v1/memory/import{query}", content=body, headers=headers)


def report_of(answer: httpx.Response) -> Json:
    report: Json = answer.raise_for_status().json()
    return report


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def erase(person: Person) -> None:
    person.http.delete("/v1/memory", headers=person.headers).raise_for_status()


def lines(*messages: Json) -> bytes:
    return b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in messages)


@pytest.mark.parametrize("format", ["jsonl", "markdown"])
def test_what_was_erased_and_brought_back_answers_the_same(
    alice: Person, upstream: LoopbackUpstream, format: str
) -> None:
    alice.knows(REX)
    alice.says(user("Good morning"), session="chat")
    body = {"model": "m", "messages": [user(ASKED)]}
    headers = {**alice.headers, "x-memory": "read"}
    before = alice.http.post("/v1/compress", json=body, headers=headers).raise_for_status()
    exported = export(alice, format)
    erase(alice)
    empty = alice.http.post("/v1/compress", json=body, headers=headers).raise_for_status()
    assert remembered_texts(empty.json()["messages"]) == []
    report = report_of(bring(alice, exported))
    assert (report["format"], report["stored"], report["whole"]) == (format, 11, True)
    after = alice.http.post("/v1/compress", json=body, headers=headers).raise_for_status()
    assert after.json()["messages"] == before.json()["messages"]
    assert REX in remembered_texts(after.json()["messages"])
    alice.says(user(ASKED))
    assert REX in remembered_texts(sent(upstream))


def test_a_chat_goes_on_without_a_header_after_it(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    """A resent history finds its session again, and nothing of it is stored twice."""
    alice.says(user("first"), session="chat")
    exported = export(alice)
    erase(alice)
    report_of(bring(alice, exported))
    alice.says(user("first"), assistant("echo: first"), user("second"))
    assert alice.told_texts("chat") == ["first", "echo: first", "second", "echo: second"]


def test_a_receipt_is_found_again(alice: Person) -> None:
    alice.knows(REX)
    receipt = alice.ask(user(ASKED)).headers["x-memory-receipt"]
    before = alice.get(f"/v1/memory/receipts/{receipt}").raise_for_status().json()
    exported = export(alice, "markdown")
    erase(alice)
    assert alice.get(f"/v1/memory/receipts/{receipt}").status_code == 404
    report_of(bring(alice, exported))
    assert alice.get(f"/v1/memory/receipts/{receipt}").raise_for_status().json() == before


@pytest.mark.parametrize("format", ["jsonl", "markdown"])
def test_facts_that_changed_are_told_again_as_they_were(alice: Person, format: str) -> None:
    made = {"kind": "person", "name": "Ana", "statements": [{"text": "Lives in Bonn"}]}
    dated = {**made, "valid_from": "2024-01-01T00:00:00Z"}
    answer = alice.http.post("/v1/memory/entities", json=dated, headers=alice.headers)
    ana = answer.raise_for_status().json()
    path = f"/v1/memory/entities/{ana['id']}"
    moved = {"statement": ana["blocks"][0]["statements"][0]["id"], "text": "Lives in Lisbon"}
    edit = {"version": 1, "replace": [moved], "valid_from": "2025-01-01T00:00:00Z"}
    alice.http.patch(path, json=edit, headers=alice.headers).raise_for_status()
    dates = ["?as_of=2025-06-01T00:00:00Z", "?as_of=2024-06-01T00:00:00Z"]
    asked = [*dates, "/versions", "/diff?from=1&to=2", f"/blame{dates[0]}"]
    before = [alice.get(path + query).raise_for_status().json() for query in asked]
    log = alice.get("/v1/memory/commits").json()
    exported = export(alice, format)
    assert b"Lives in Lisbon" in exported
    erase(alice)
    assert alice.get(path).status_code == 404
    report = report_of(bring(alice, exported))
    assert (report["versions"], report["commits"], report["skipped"]) == (2, 2, 0)
    assert [alice.get(path + query).raise_for_status().json() for query in asked] == before
    assert alice.get("/v1/memory/commits").json() == log
    again = report_of(bring(alice, exported))
    assert (again["versions"], again["versions_unchanged"]) == (0, 2)


def test_a_diffmem_repository_is_taken_as_git_writes_it(alice: Person) -> None:
    text = b"# Rex [Strength: High]\n- A dachshund\n"
    stream = b"blob\nmark :1\ndata %d\n%s\ncommit refs/heads/main\n" % (len(text), text)
    stream += b"committer A <a@b.c> 1700000000 +0000\ndata 0\nM 100644 :1 memories/people/rex.md\n"
    report = report_of(bring(alice, stream))
    assert (report["format"], report["versions"], report["commits"]) == ("git", 1, 1)
    (rex,) = alice.get("/v1/memory/entities").json()["data"]
    assert (rex["name"], rex["kind"], rex["strength"]) == ("Rex", "person", 0.9)
    found = alice.get(f"/v1/memory/entities/{rex['id']}?as_of=2023-12-01T00:00:00Z")
    assert "A dachshund" in found.raise_for_status().text


def test_whatever_a_message_may_be_given_comes_back(alice: Person) -> None:
    """As many names of metadata as there may be, an importance beside them, and a far end."""
    given = {
        "content": "Kept.",
        "metadata": {f"{n:064d}": "x" * 512 for n in range(15)},
        "importance_override": 0.5,
        "expires_at": "9999-12-31T23:59:59Z",
        "pin": True,
    }
    answer = alice.http.post("/v1/messages", json=given, headers=alice.headers)
    answer.raise_for_status()
    before = alice.told("notes")
    for format in ("jsonl", "markdown"):
        exported = export(alice, format)
        erase(alice)
        assert report_of(bring(alice, exported))["errors"] == []
        assert alice.told("notes") == before


def test_an_export_says_what_is_kept_and_for_how_long(alice: Person) -> None:
    (settings,) = [
        line for line in map(orjson.loads, export(alice).splitlines()) if line["type"] == "settings"
    ]
    assert settings["retention_max_age_days"] == 30
    assert settings["legal_hold"] is False


def test_a_large_body_is_taken_as_a_stream(alice: Person) -> None:
    def body() -> Iterator[bytes]:
        for number in range(2500):
            yield lines({"role": "user", "content": f"{number} " * 800, "session_id": "s"})

    report = report_of(bring(alice, body(), "?format=jsonl"))
    assert (report["stored"], report["refused"]) == (2500, 0)
    assert alice.sessions()[0]["messages"] == 2500


def test_some_refused_and_some_taken_is_told_with_the_lines(alice: Person) -> None:
    body = lines(user("taken")) + b"{broken\n" + lines({"role": "narrator", "content": "x"})
    report = report_of(bring(alice, body))
    assert (report["stored"], report["refused"]) == (1, 2)
    assert [one["line"] for one in report["errors"]] == [2, 3]
    assert alice.told_texts("imported") == ["taken"]


def test_what_holds_nothing_that_could_be_taken_is_refused(alice: Person) -> None:
    error = refused(bring(alice, b"{\n", "?format=jsonl"), 400)
    assert error["param"] == "line 1"
    assert refused(bring(alice, b""), 400)["code"] is None
    assert refused(bring(alice, b"a,b,c\n"), 400)["code"] == "unknown_format"
    assert refused(bring(alice, b"{}", "?format=csv"), 400)["param"] == "format"
    assert refused(alice.get("/v1/memory/export?format=csv"), 400)["param"] == "format"
    assert alice.sessions() == []


def test_somebody_elses_export_is_a_copy(alice: Person, bob: Person) -> None:
    alice.keeps(REX)
    theirs = export(alice)
    assert report_of(bring(bob, theirs))["stored"] == 1
    (mine,) = bob.told("notes")
    bob.http.delete(f"/v1/messages/{mine['id']}", headers=bob.headers).raise_for_status()
    assert alice.told("notes")[0]["id"] == mine["id"]
    assert export(alice) == theirs


def test_it_needs_a_credential(http: httpx.Client) -> None:
    answer = http.post("/v1/memory/import", content=lines(user("x")))
    assert refused(answer, 401)["code"] == "invalid_api_key"


def test_bounds_and_limits(tmp_path: Path) -> None:
    """A body past the bound says how much of it is stored; an import costs a request."""
    limits = {"REQUESTS_PER_MINUTE": "2", "MAX_IMPORT_BYTES": "2000000"}
    with serving(tmp_path, **limits) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        announced = refused(bring(person, b"x" * 2_000_001), 413)
        assert announced["code"] == "request_too_large"
        many = (lines({"role": "user", "content": "word " * 500}) for _ in range(1000))
        error = refused(bring(person, many), 413)
        stored = person.sessions()[0]["messages"]
        assert 0 < stored < 1000
        assert f" {stored} messages are stored" in error["message"]
        answer = bring(person, lines(user("x")))
        assert refused(answer, 429)["code"] == "rate_limit_exceeded"
