"""Contexts and model-worded searches over HTTP."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.chats import Json, Person
from support.service import serving
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

CONTEXT, ORCHESTRATED = "/v1/memory/context", "/v1/memory/orchestrated-search"
DEPTHS = ("basic", "wide", "deep", "temporal")


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def post(person: Person, path: str, body: Any) -> httpx.Response:
    return person.http.post(path, headers=person.headers, json=body)


def good(answer: httpx.Response, status: int = 200) -> Json:
    assert answer.status_code == status, answer.text
    told: Json = answer.json()
    return told


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def knows(person: Person) -> Json:
    """Anna, who moved, and something said about her."""
    anna = {
        "kind": "person",
        "name": "Anna",
        "always_load": ["home"],
        "statements": [{"block": "home", "text": "Lives in Paris."}],
        "valid_from": "2023-01-01",
    }
    made = good(post(person, "/v1/memory/entities", anna), 201)
    moved = {
        "version": 1,
        "replace": [
            {"statement": made["blocks"][0]["statements"][0]["id"], "text": "Lives in Berlin."}
        ],
        "valid_from": "2024-01-01",
    }
    path = f"/v1/memory/entities/{made['id']}"
    person.keeps("Anna's bicycle is red.")
    return good(person.http.patch(path, headers=person.headers, json=moved))


def proposing(*queries: str) -> Answer:
    return Answer.json(completion(json.dumps({"queries": queries})))


def test_each_depth_tells_what_it_has_and_what_it_left_out(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    knows(alice)
    conversation = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "What colour is Anna's bicycle?"}]},
    ]
    for depth in DEPTHS:
        told = good(post(alice, CONTEXT, {"conversation": conversation, "depth": depth}))
        assert (told["object"], told["depth"]) == ("memory.context", depth)
        assert "Lives in Berlin." in told["text"]
        assert 0 < told["tokens"] <= told["budget"] == 2000
        nothing = good(
            post(alice, CONTEXT, {"messages": conversation, "depth": depth, "budget": 0})
        )
        assert (nothing["text"], nothing["tokens"]) == ("", 0)
        assert {one["reason"] for one in nothing["left_out"]} >= {"over_budget"}
    wide = good(post(alice, CONTEXT, {"conversation": conversation, "depth": "wide"}))
    assert wide["messages"][0]["text"] == "Anna's bicycle is red."
    assert upstream.requests == []


def test_by_default_it_is_basic_and_needs_no_conversation(alice: Person) -> None:
    assert good(post(alice, CONTEXT, {}))["depth"] == "basic"
    assert good(post(alice, CONTEXT, {"conversation": "Hello?"}))["text"] == ""


def test_a_context_is_as_of_a_date_and_as_known_on_one(alice: Person) -> None:
    knows(alice)
    for depth in DEPTHS:
        then = good(post(alice, CONTEXT, {"depth": depth, "as_of": "2023-06-01"}))
        assert "Paris" in then["text"]
        assert "Berlin" not in then["text"]
        never = {"depth": depth, "as_of": "2023-06-01", "known_at": "2023-06-01"}
        assert "Paris" not in good(post(alice, CONTEXT, never))["text"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"depth": "shallow"}, "depth"),
        ({"budget": -1}, "budget"),
        ({"budget": 200_001}, "budget"),
        ({"as_of": "soon"}, "as_of"),
        ({"known_at": []}, "known_at"),
        ({"conversation": [{"role": "ghost", "content": "x"}]}, None),
        ({"conversation": 5}, None),
        ({"question": "x"}, "question"),
    ],
)
def test_what_is_no_question_is_refused(alice: Person, body: Json, param: str | None) -> None:
    error = refused(post(alice, CONTEXT, body), 400)
    if param is not None:
        assert error["param"] == param


def test_somebody_elses_memory_is_in_no_context_or_search(
    alice: Person, bob: Person, upstream: LoopbackUpstream
) -> None:
    knows(alice)
    for depth in DEPTHS:
        told = good(post(bob, CONTEXT, {"conversation": "Anna's bicycle", "depth": depth}))
        assert told["text"] == ""
    upstream.queue(proposing("Anna bicycle"))
    found = good(post(bob, ORCHESTRATED, {"conversation": "Anna's bicycle"}))
    assert found["data"] == []
    for path in (CONTEXT, ORCHESTRATED):
        body = {"conversation": "Anna", "user_id": "somebody-else"}
        assert refused(post(alice, path, body), 403)["param"] == "user_id"
        assert refused(alice.http.post(path, json={}), 401)["code"] == "invalid_api_key"


def test_a_search_worded_by_the_model_tells_what_was_searched_and_cites(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    knows(alice)
    sentence = {"text": "It is red.", "sources": [1]}
    written = Answer.json(completion(json.dumps({"sentences": [sentence]})))
    upstream.queue(proposing("Anna bicycle", "red"), written)
    body = {"conversation": "What colour is it?", "synthesize": True, "k": 3}
    found = good(post(alice, ORCHESTRATED, body))
    assert (found["worded_by"], found["shortfall"]) == ("model", None)
    assert [one["query"] for one in found["queries"]] == ["Anna bicycle", "red"]
    (hit,) = found["data"]
    assert hit["queries"] == [
        {"query": "Anna bicycle", "rank": 1},
        {"query": "red", "rank": 1},
    ]
    assert found["synthesis"]["text"] == "It is red."
    assert found["synthesis"]["sentences"][0]["citations"] == [hit["id"]]
    removed = alice.http.delete(f"/v1/messages/{hit['id']}", headers=alice.headers)
    assert removed.status_code == 200
    upstream.queue(proposing("Anna bicycle"))
    assert good(post(alice, ORCHESTRATED, {"conversation": "What colour?"}))["data"] == []


def test_nonsense_twice_leaves_the_plain_query(alice: Person, upstream: LoopbackUpstream) -> None:
    knows(alice)
    found = good(post(alice, ORCHESTRATED, {"conversation": "Anna's bicycle"}))
    assert (found["worded_by"], found["shortfall"]) == ("plain", "invalid_answer")
    assert [one["query"] for one in found["queries"]] == ["Anna's bicycle"]
    assert len(upstream.requests) == 2
    assert len(found["data"]) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "conversation"),
        ({"conversation": " "}, "conversation"),
        ({"conversation": []}, "conversation"),
        ({"conversation": [{"role": "assistant", "content": "x"}]}, "conversation"),
        ({"conversation": "x", "top_k": 51}, "top_k"),
        ({"conversation": "x", "since": 5, "until": 5}, "until"),
        ({"conversation": "x", "session": "a b"}, "session_id"),
    ],
)
def test_what_is_no_search_asks_no_model(
    alice: Person, upstream: LoopbackUpstream, body: Json, param: str
) -> None:
    assert refused(post(alice, ORCHESTRATED, body), 400)["param"] == param
    assert upstream.requests == []


def test_it_can_be_turned_off(tmp_path: Path, upstream: LoopbackUpstream) -> None:
    settings = {"UPSTREAM_BASE": upstream.base_url, "ENABLE_ORCHESTRATED_SEARCH": "false"}
    with serving(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        answer = post(person, ORCHESTRATED, {"conversation": "Anna"})
        assert refused(answer, 404)["code"] == "feature_disabled"
        assert upstream.requests == []


def test_each_context_counts_as_a_request(tmp_path: Path) -> None:
    settings = {"REQUESTS_PER_MINUTE": "1"}
    with serving(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        good(post(person, CONTEXT, {}))
        assert refused(post(person, CONTEXT, {}), 429)["code"] == "rate_limit_exceeded"


def test_the_preview_words_no_search(tmp_path: Path) -> None:
    with serving(tmp_path) as running, httpx.Client(base_url=running.url) as http:
        person = Person(http, {"x-api-key": "sk-alice"})
        person.keeps("Anna's bicycle is red.")
        found = good(post(person, ORCHESTRATED, {"conversation": "bicycle", "synthesize": True}))
        assert (found["shortfall"], len(found["data"])) == ("no_model", 1)
        assert found["synthesis"] == {"text": None, "sentences": None, "shortfall": "no_model"}
