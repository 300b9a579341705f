"""Facts that change, over HTTP: made, read as of a date, edited, proposed, committed, erased."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.chats import Json, Person, user
from support.service import serving
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

ENTITIES = "/v1/memory/entities"
ANNA = {
    "kind": "person",
    "name": "Anna",
    "strength": 0.9,
    "always_load": ["home"],
    "statements": [{"block": "home", "text": "Lives in Paris.", "sources": ["m1"]}],
    "valid_from": "2024-01-01",
}


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def ask(person: Person, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    given = {"json": body} if body is not None else {}
    return person.http.request(method, path, headers={**person.headers, **headers}, **given)


def good(answer: httpx.Response, status: int = 200) -> Json:
    assert answer.status_code == status, answer.text
    told: Json = answer.json()
    return told


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def made(person: Person, **fields: Any) -> Json:
    return good(ask(person, "POST", ENTITIES, {**ANNA, **fields}), 201)


def texts(entity: Json) -> list[str]:
    return [one["text"] for block in entity["blocks"] for one in block["statements"]]


def moved(person: Person, entity: Json, city: str, date: str) -> Json:
    """The entity's one home replaced from a date on."""
    body = {
        "version": entity["current_version"],
        "replace": [{"statement": home_of(entity), "text": f"Lives in {city}."}],
        "valid_from": date,
    }
    return good(ask(person, "PATCH", f"{ENTITIES}/{entity['id']}", body))


def home_of(entity: Json) -> str:
    return str(entity["blocks"][0]["statements"][0]["id"])


def proposing(*operations: Any) -> Answer:
    return Answer.json(completion(json.dumps({"operations": operations})))


def test_an_entity_is_made_and_read_back(alice: Person) -> None:
    entity = made(alice)
    assert (entity["version"], entity["current_version"], entity["commit"]) == (1, 1, 1)
    assert entity["blocks"][0]["always_load"] is True
    assert texts(entity) == ["Lives in Paris."]
    read = good(alice.get(f"{ENTITIES}/{entity['id']}"))
    assert {**read, "as_of": 0} == {**entity, "as_of": 0}
    (card,) = good(alice.get(ENTITIES))["data"]
    assert (card["id"], card["name"], card["statements"]) == (entity["id"], "Anna", 1)


def test_a_fact_changed_three_times_is_told_as_of_each_date(alice: Person) -> None:
    entity = made(alice)
    for city, date in (("Berlin", "2024-03-01"), ("Rome", "2024-05-01"), ("Oslo", "2024-07-01")):
        entity = moved(alice, entity, city, date)
    path = f"{ENTITIES}/{entity['id']}"
    for date, city in (
        ("2024-02-01", "Paris"),
        ("2024-03-01", "Berlin"),
        ("2024-04-30T23:59:59Z", "Berlin"),
        ("1717200000", "Rome"),
        ("2025-01-01", "Oslo"),
    ):
        assert texts(good(alice.get(f"{path}?as_of={date}"))) == [f"Lives in {city}."]
    assert refused(alice.get(f"{path}?as_of=2023-12-31"), 404)["code"] == "entity_not_found"
    assert [one["text"] for one in entity["superseded"]] == [
        "Lives in Paris.",
        "Lives in Berlin.",
        "Lives in Rome.",
    ]
    assert all(one["superseded_by"] for one in entity["superseded"])
    versions = good(alice.get(f"{path}/versions?limit=3"))
    assert [one["version"] for one in versions["data"]] == [4, 3, 2]
    rest = good(alice.get(f"{path}/versions?after={versions['next']}"))
    assert [one["version"] for one in rest["data"]] == [1]
    assert texts(good(alice.get(f"{path}/versions/1"))) == ["Lives in Paris."]
    diff = good(alice.get(f"{path}/diff?from=1&to=2"))
    assert [one["text"] for one in diff["added"]] == ["Lives in Berlin."]
    assert [one["text"] for one in diff["superseded"]] == ["Lives in Paris."]
    first = good(alice.get(f"{path}/blame"))["statements"][0]
    assert (first["sources"], first["version"], first["commit"]) == (["m1"], 1, 1)
    known = rest["data"][0]["recorded_at"]
    then = good(alice.get(f"{path}?as_of=2025-01-01&known_at={known}"))
    assert (texts(then), then["version"]) == (["Lives in Paris."], 1)


def test_every_read_of_the_past_takes_a_date_of_validity_and_one_of_knowledge(
    alice: Person,
) -> None:
    entity = made(alice)
    entity = moved(alice, entity, "Berlin", "2024-03-01")
    path = f"{ENTITIES}/{entity['id']}"
    first = good(alice.get(f"{path}/versions/1"))["recorded_at"]
    ignorant, early = f"known_at={first - 1}", "as_of=2024-02-01"
    assert good(alice.get(f"{path}/versions?{ignorant}"))["data"] == []
    for suffix in ("", "/versions/1", "/versions/2", "/diff", "/diff?from=1&to=2", "/blame"):
        joined = f"{path}{suffix}{'&' if '?' in suffix else '?'}"
        refused(alice.get(f"{joined}{ignorant}"), 404)
    assert texts(good(alice.get(f"{path}/versions/2?{early}"))) == ["Lives in Paris."]
    assert len(texts(good(alice.get(f"{path}/versions/2")))) == 2
    diff = good(alice.get(f"{path}/diff?from=1&to=2&{early}"))
    assert diff["added"] == []
    told = good(alice.get(f"{path}/blame?{early}"))["statements"]
    assert [one["text"] for one in told] == ["Lives in Paris."]
    for suffix in ("", "/versions", "/versions/1", "/diff", "/blame"):
        for name in ("as_of", "known_at"):
            assert refused(alice.get(f"{path}{suffix}?{name}=soon"), 400)["param"] == name


@pytest.mark.parametrize("moment", ["inf", "nan", "-1e400", "1e30", "99999-01-01"])
def test_no_moment_that_time_has_not_is_asked_for(alice: Person, moment: str) -> None:
    for name in ("as_of", "known_at"):
        assert refused(alice.get(f"{ENTITIES}?{name}={moment}"), 400)["param"] == name


def test_an_edit_needs_the_current_version(alice: Person) -> None:
    entity = made(alice)
    path = f"{ENTITIES}/{entity['id']}"
    good(ask(alice, "PATCH", path, {"version": 1, "name": "Anna Maria"}))
    assert refused(ask(alice, "PATCH", path, {"version": 1, "name": "x"}), 409)["code"] == (
        "version_conflict"
    )
    refused(ask(alice, "DELETE", f"{path}?version=1"), 409)
    assert good(alice.get(path))["name"] == "Anna Maria"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "kind"),
        ({**ANNA, "kind": "ghost"}, "kind"),
        ({**ANNA, "name": " "}, "name"),
        ({**ANNA, "name": "x" * 121}, "name"),
        ({**ANNA, "strength": 2}, "strength"),
        ({**ANNA, "valid_from": "soon"}, "valid_from"),
        ({**ANNA, "statements": [{"text": ""}]}, "statements[0].text"),
        ({**ANNA, "statements": [{"text": "x", "valid_from": 5, "valid_to": 5}]},
         "statements[0].valid_to"),
        ({**ANNA, "statements": [{"text": "x"}] * 51}, "statements"),
    ],
)  # fmt: skip
def test_what_is_no_entity_is_refused(alice: Person, body: Json, param: str) -> None:
    assert refused(ask(alice, "POST", ENTITIES, body), 400)["param"] == param
    assert good(alice.get(ENTITIES))["data"] == []


def test_a_body_that_names_somebody_else_is_refused(alice: Person) -> None:
    for name in ("user_id", "tenant_id"):
        answer = ask(alice, "POST", ENTITIES, {**ANNA, name: "bob"})
        assert refused(answer, 403)["param"] == name
        body = {"session_id": "s", "memory_input": "x", name: "bob"}
        assert refused(ask(alice, "POST", "/v1/memory/process-session", body), 403)["param"] == name
    assert good(alice.get(ENTITIES))["data"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x"}, "version"),
        ({"version": 1}, None),
        ({"version": 1, "remove": ["never"]}, "statement"),
        ({"version": 1, "replace": [{"statement": "never", "text": "x"}]}, "statement"),
    ],
)
def test_what_is_no_edit_is_refused(alice: Person, body: Json, param: str | None) -> None:
    entity = made(alice)
    answer = ask(alice, "PATCH", f"{ENTITIES}/{entity['id']}", body)
    assert refused(answer, 400)["param"] == param
    assert good(alice.get(f"{ENTITIES}/{entity['id']}"))["current_version"] == 1


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?as_of=yesterday", "as_of"),
        ("?known_at=", "known_at"),
        ("?limit=0", "limit"),
        ("?after=x", "after"),
    ],
)
def test_a_query_that_says_nothing_is_refused(alice: Person, query: str, param: str) -> None:
    assert refused(alice.get(f"{ENTITIES}{query}"), 400)["param"] == param


def test_somebody_elses_entities_are_not_there(alice: Person, bob: Person) -> None:
    entity = made(alice)
    path = f"{ENTITIES}/{entity['id']}"
    never = f"{ENTITIES}/e0000000000000000"
    for method, suffix, body in (
        ("GET", "", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("GET", "/diff", None),
        ("GET", "/blame", None),
        ("PATCH", "", {"version": 1, "name": "x"}),
        ("DELETE", "", None),
        ("DELETE", "?history=erase", None),
    ):
        theirs = refused(ask(bob, method, path + suffix, body), 404)
        assert theirs == refused(ask(bob, method, never + suffix, body), 404)
    refused(ask(bob, "POST", "/v1/memory/commits/1/revert"), 404)
    assert good(bob.get("/v1/memory/commits"))["data"] == []
    assert texts(good(alice.get(path))) == ["Lives in Paris."]


def test_a_deletion_is_undone_and_an_erasure_is_not(alice: Person) -> None:
    entity = made(alice)
    path = f"{ENTITIES}/{entity['id']}"
    deleted = good(ask(alice, "DELETE", f"{path}?version=1"))
    refused(alice.get(path), 404)
    assert good(alice.get(ENTITIES))["data"] == []
    assert texts(good(alice.get(f"{path}?as_of=2024-02-01"))) == ["Lives in Paris."]
    restored = good(ask(alice, "POST", f"/v1/memory/commits/{deleted['commit']}/revert"))
    assert (restored["kind"], restored["reverts"]) == ("revert", deleted["commit"])
    assert texts(good(alice.get(path))) == ["Lives in Paris."]
    good(ask(alice, "DELETE", f"{path}?history=erase"))
    refused(alice.get(f"{path}?as_of=2024-02-01"), 404)
    refused(alice.get(f"{path}/versions"), 404)
    refused(ask(alice, "DELETE", f"{path}?history=erase"), 404)


def test_a_key_makes_one_entity(alice: Person) -> None:
    first = good(ask(alice, "POST", ENTITIES, ANNA, **{"idempotency-key": "k"}), 201)
    again = good(ask(alice, "POST", ENTITIES, ANNA, **{"idempotency-key": "k"}), 201)
    assert first["id"] == again["id"]
    assert len(good(alice.get(ENTITIES))["data"]) == 1


def test_a_session_is_processed_looked_through_and_committed(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    entity = made(alice)
    alice.keeps("Anna has moved to Berlin, and she sings.", session="talk")
    message = alice.told("talk")[0]["id"]
    upstream.queue(
        proposing(
            {"op": "replace", "entity": "e1", "statement": "e1.1", "text": "Lives in Berlin.",
             "sources": [1]},
            {"op": "add", "entity": "e1", "text": "Sings.", "sources": [1]},
            {"op": "create", "kind": "place", "name": "Oslo", "statements": [{"text": "A city."}]},
        )
    )  # fmt: skip
    body = {"session_id": "talk", "session_date": "2024-06-01"}
    staged = good(ask(alice, "POST", "/v1/memory/process-session", body), 201)
    assert [one["op"] for one in staged["operations"]] == ["replace", "add", "create"]
    assert staged["operations"][0]["diff"]["added"][0]["sources"] == [message]
    assert texts(good(alice.get(f"{ENTITIES}/{entity['id']}"))) == ["Lives in Paris."]
    left = good(ask(alice, "DELETE", "/v1/memory/staging/talk/operations/op2"))
    assert left == good(alice.get("/v1/memory/staging/talk"))
    assert [one["id"] for one in left["operations"]] == ["op1", "op3"]
    commit = good(ask(alice, "POST", "/v1/memory/commit-session", {"session_id": "talk"}))
    assert commit == good(ask(alice, "POST", "/v1/memory/commit-session", {"session": "talk"}))
    path = f"{ENTITIES}/{entity['id']}"
    assert texts(good(alice.get(path))) == ["Lives in Berlin."]
    assert texts(good(alice.get(f"{path}?as_of=2024-05-31"))) == ["Lives in Paris."]
    log = good(alice.get("/v1/memory/commits?limit=1"))
    assert log["data"] == [commit]
    older = good(alice.get(f"/v1/memory/commits?after={log['next']}"))["data"]
    assert [one["sequence"] for one in older] == [1]
    refused(ask(alice, "DELETE", "/v1/memory/staging/talk"), 409)


def test_a_base_that_has_moved_is_a_conflict(alice: Person, upstream: LoopbackUpstream) -> None:
    entity = made(alice)
    upstream.queue(proposing({"op": "add", "entity": "e1", "text": "Sings."}))
    body = {"session_id": "s", "memory_input": [{"role": "user", "content": "Anna sings."}]}
    good(ask(alice, "POST", "/v1/memory/process-session", body), 201)
    moved(alice, entity, "Berlin", "2024-03-01")
    assert good(alice.get("/v1/memory/staging/s"))["base_moved"] is True
    answer = ask(alice, "POST", "/v1/memory/commit-session", {"session_id": "s"})
    assert refused(answer, 409)["code"] == "base_moved"
    assert texts(good(alice.get(f"{ENTITIES}/{entity['id']}"))) == ["Lives in Berlin."]


def test_processed_and_committed_at_once_it_is_paid_for_once(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    place = {"op": "create", "kind": "place", "name": "Oslo", "statements": [{"text": "A city."}]}
    upstream.queue(proposing(place))
    body = {"session_id": "s", "memory_input": "Oslo is a city."}
    first, again = (
        good(ask(alice, "POST", "/v1/memory/process-and-commit", body)) for _ in range(2)
    )
    assert first == again
    assert len(upstream.requests) == 1
    assert [one["name"] for one in good(alice.get(ENTITIES))["data"]] == ["Oslo"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "session_id"),
        ({"session_id": "a b", "memory_input": "x"}, 400, "session_id"),
        ({"session_id": "s", "memory_input": ""}, 400, "memory_input"),
        ({"session_id": "s", "memory_input": []}, 400, "memory_input"),
        ({"session_id": "s", "memory_input": "x", "session_date": "soon"}, 400, "session_date"),
        ({"session_id": "s", "memory_input": "x" * 60_001}, 413, "memory_input"),
        ({"session_id": "never"}, 404, None),
    ],
)
def test_what_is_no_session_asks_no_model(
    alice: Person, upstream: LoopbackUpstream, body: Json, status: int, param: str | None
) -> None:
    answer = ask(alice, "POST", "/v1/memory/process-session", body)
    assert refused(answer, status)["param"] == param
    assert upstream.requests == []


def test_a_model_that_answers_nonsense_stages_nothing(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    body = {"session_id": "s", "memory_input": "Hello"}
    answer = ask(alice, "POST", "/v1/memory/process-session", body)
    assert refused(answer, 502)["code"] == "invalid_proposal"
    assert len(upstream.requests) == 2
    refused(alice.get("/v1/memory/staging/s"), 404)
    refused(ask(alice, "POST", "/v1/memory/commit-session", {"session_id": "s"}), 404)


def test_a_chat_turn_asks_the_upstream_once_and_makes_no_entity(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.says(user("My sister Anna lives in Paris."))
    assert len(upstream.requests) == 1
    assert good(alice.get(ENTITIES))["data"] == []


def test_erasing_the_memory_takes_all_of_it(alice: Person, upstream: LoopbackUpstream) -> None:
    entity = made(alice)
    upstream.queue(proposing({"op": "add", "entity": "e1", "text": "Sings."}))
    body = {"session_id": "s", "memory_input": "Anna sings."}
    good(ask(alice, "POST", "/v1/memory/process-session", body), 201)
    good(ask(alice, "DELETE", "/v1/memory"))
    refused(alice.get(f"{ENTITIES}/{entity['id']}"), 404)
    refused(alice.get("/v1/memory/staging/s"), 404)
    assert good(alice.get(ENTITIES))["data"] == []
    assert good(alice.get("/v1/memory/commits"))["data"] == []


def test_nobody_without_a_credential_reads_or_writes(http: httpx.Client) -> None:
    for method, path in (
        ("GET", ENTITIES),
        ("POST", ENTITIES),
        ("PATCH", f"{ENTITIES}/e0000000000000000"),
        ("POST", "/v1/memory/process-session"),
        ("POST", "/v1/memory/commit-session"),
        ("GET", "/v1/memory/staging/s"),
        ("GET", "/v1/memory/commits"),
    ):
        assert refused(http.request(method, path), 401)["code"] == "invalid_api_key"


def test_changes_and_model_calls_count_as_requests(
    tmp_path: Path, upstream: LoopbackUpstream
) -> None:
    limits = {"REQUESTS_PER_MINUTE": "2", "TOKENS_PER_MINUTE": "9000"}
    settings = {**limits, "UPSTREAM_BASE": upstream.base_url, "MEMORY_MODEL": "small"}
    with serving(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        made(person)
        upstream.queue(proposing())
        body = {"session_id": "s", "memory_input": "Hello"}
        good(ask(person, "POST", "/v1/memory/process-session", body), 201)
        assert upstream.requests[0].json["model"] == "small"
        answer = ask(person, "POST", ENTITIES, ANNA)
        assert refused(answer, 429)["code"] == "rate_limit_exceeded"


def test_the_preview_proposes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        body = {"session_id": "s", "memory_input": "Hello"}
        answer = ask(person, "POST", "/v1/memory/process-session", body)
        assert refused(answer, 503)["code"] == "no_model"
