"""Search, status and the rebuilt index over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.chats import Json, Person, user
from support.ports import free_port
from support.retriever import LoopbackRetriever, texts_of
from support.service import serving
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

BORZOI = "My borzoi is called Anastasia."
ASKED = "What is my borzoi called?"
SEARCH, STATUS, REBUILD = "/v1/memory/search", "/v1/memory/status", "/v1/memory/rebuild-index"
PATIENCE_SECONDS = 20.0


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


@pytest.fixture
def bob(http: httpx.Client, sign_in: Any) -> Person:
    return Person(http, {"authorization": f"Bearer {sign_in()}"})


def get(person: Person, **wanted: Any) -> httpx.Response:
    return person.http.get(SEARCH, params=wanted, headers=person.headers)


def post(person: Person, **wanted: Any) -> httpx.Response:
    return person.http.post(SEARCH, json=wanted, headers=person.headers)


def hits(answer: httpx.Response) -> list[Json]:
    return list(answer.raise_for_status().json()["data"])


def texts(answer: httpx.Response) -> list[str]:
    return [hit["text"] for hit in hits(answer)]


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_search_tells_what_it_found_and_why(alice: Person) -> None:
    alice.knows(BORZOI)
    answer = get(alice, query=ASKED)
    body = answer.raise_for_status().json()
    assert answer.headers["x-memory-retriever"] == "lexical; reason=configured"
    (told,) = alice.told("notes")
    hit = body["data"][0]
    assert {name: hit[name] for name in ("id", "session_id", "role", "text", "date")} == {
        "id": told["id"],
        "session_id": "notes",
        "role": "user",
        "text": BORZOI,
        "date": "2023-11-14",
    }
    assert hit["created_at"] == told["created_at"]
    assert (hit["archived"], hit["tokens"]) == (False, told["tokens"])
    parts = hit["parts"]
    assert parts["relevance"] == 1
    assert parts["importance"] == hit["importance"]["value"]
    weighed = 0.85 + 0.10 * parts["importance"] + 0.05 * parts["recency"]
    assert hit["score"] == pytest.approx(weighed)
    assert body["relevant"] is True
    assert body["left_out"] == {"segments": 0, "messages": 0, "archives": False, "matches": 0}


def test_both_methods_find_the_same(alice: Person) -> None:
    alice.knows(BORZOI)
    wanted: Json = {"query": "borzoi train market", "k": 2, "role": "user"}
    by_get, by_post = get(alice, **wanted), post(alice, **wanted)
    assert len(texts(by_get)) == 2
    assert texts(by_get) == texts(by_post)
    assert texts(post(alice, query="borzoi train market", top_k=2)) == texts(by_get)


def test_five_is_what_nobody_asked_otherwise_gets(alice: Person) -> None:
    alice.keeps(*(f"the borzoi walks {n}" for n in range(9)))
    assert len(hits(get(alice, query="borzoi"))) == 5
    assert len(hits(get(alice, query="borzoi", top_k=9))) == 9


@pytest.mark.parametrize("name", ["session", "session_id", "thread_id", "conversation_id"])
def test_a_session_has_many_names_and_one_meaning(alice: Person, name: str) -> None:
    alice.keeps("the borzoi of one", session="one")
    alice.keeps("the borzoi of two", session="two")
    assert texts(get(alice, query="borzoi", **{name: "two"})) == ["the borzoi of two"]
    assert texts(post(alice, query="borzoi", **{name: "two"})) == ["the borzoi of two"]
    assert texts(post(alice, query="borzoi", **{name: "three"})) == []


def test_times_are_seconds_or_iso(alice: Person) -> None:
    alice.keeps("the borzoi of first", "the borzoi of second")  # a minute after one another
    second = "2023-11-14T22:14:20Z"
    assert texts(get(alice, query="borzoi", since=second)) == ["the borzoi of second"]
    assert texts(get(alice, query="borzoi", until=second)) == ["the borzoi of first"]
    assert texts(post(alice, query="borzoi", since=1_700_000_060)) == ["the borzoi of second"]
    both = get(alice, query="borzoi", since="2023-11-14", until="2023-11-15")
    assert len(hits(both)) == 2


def test_a_hit_is_read_and_deleted_by_its_id(alice: Person) -> None:
    alice.knows(BORZOI)
    hit = hits(get(alice, query=ASKED))[0]
    path = f"/v1/messages/{hit['id']}"
    told = alice.get(f"{path}?include=importance").raise_for_status().json()
    assert told["content"] == BORZOI
    reason = told["importance"].pop("reason")
    assert reason == hit["importance"].pop("reason") == "computed"
    assert told["importance"] == pytest.approx(hit["importance"], abs=1e-4)
    alice.http.delete(path, headers=alice.headers).raise_for_status()
    assert BORZOI not in texts(get(alice, query=ASKED, top_k=50))


def test_a_use_is_told_with_the_importance(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.knows(BORZOI)
    (told,) = alice.told("notes")
    path = f"/v1/messages/{told['id']}?include=importance"
    before = alice.get(path).raise_for_status().json()["importance"]
    alice.says(user(ASKED), session="other")
    after = alice.get(path).raise_for_status().json()["importance"]
    assert (before["uses"], after["uses"]) == (0, 1)
    assert after["value"] > before["value"]
    assert refused(alice.get(f"/v1/messages/{told['id']}?include=all"), 400)["param"] == "include"


def test_an_answer_just_given_is_found(alice: Person, upstream: LoopbackUpstream) -> None:
    alice.says(user("The zyxonite is under the stove."), session="chat")
    found = hits(get(alice, query="zyxonite"))
    assert {hit["role"] for hit in found} == {"user", "assistant"}
    assert {hit["session_id"] for hit in found} == {"chat"}


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \n"}, "query"),
        ({"query": "a" * 10_001}, "query"),
        ({"query": "a", "top_k": 0}, "top_k"),
        ({"query": "a", "top_k": 51}, "top_k"),
        ({"query": "a", "top_k": "many"}, "top_k"),
        ({"query": "a", "k": 2, "top_k": 3}, "k"),
        ({"query": "a", "role": "system"}, "role"),
        ({"query": "a", "since": "yesterday"}, "since"),
        ({"query": "a", "since": "2024-01-02", "until": "2024-01-02"}, "until"),
        ({"query": "a", "importance_min": 1.5}, "importance_min"),
        ({"query": "a", "importance_min": "nan"}, "importance_min"),
        ({"query": "a", "include_archived": "perhaps"}, "include_archived"),
        ({"query": "a", "session": "two words"}, "session_id"),
        ({"query": "a", "session": "a" * 201}, "session_id"),
        ({"query": "a", "session": ""}, "session_id"),
        ({"query": "a", "owner": "bob"}, "owner"),
    ],
)
@pytest.mark.parametrize("asked", [get, post])
def test_what_cannot_be_searched_for_is_refused(
    alice: Person, asked: Any, wanted: Json, param: str
) -> None:
    error = refused(asked(alice, **wanted), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_a_parameter_given_twice_is_refused(alice: Person) -> None:
    answer = alice.get(f"{SEARCH}?query=a&query=b")
    assert refused(answer, 400)["param"] == "query"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"query"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(alice: Person, body: bytes) -> None:
    refused(alice.http.post(SEARCH, content=body, headers=alice.headers), 400)


@pytest.mark.parametrize("name", ["user_id", "tenant_id"])
def test_somebody_elses_name_is_refused_and_decides_nothing(alice: Person, name: str) -> None:
    alice.knows(BORZOI)
    for asked in (get, post):
        assert refused(asked(alice, query=ASKED, **{name: "key:bob"}), 403)["param"] == name
    assert texts(post(alice, query=ASKED, **{name: None}))[0] == BORZOI


def test_nothing_of_another_is_found_or_counted(alice: Person, bob: Person) -> None:
    alice.knows(BORZOI)
    assert hits(get(bob, query=ASKED, session="notes", include_archived=True)) == []
    assert bob.get(STATUS).raise_for_status().json()["messages"] == 0
    assert rebuilt(bob)["segments"] == 0


def rebuilt(person: Person, after: str = "") -> Json:
    answer = person.http.post(REBUILD + after, headers=person.headers)
    told: Json = answer.raise_for_status().json()
    return told


def test_the_status_counts_and_the_index_is_made_anew(alice: Person) -> None:
    alice.keeps(*(f"the borzoi walks {n}" for n in range(60)))
    alice.keeps("a note", session="other")
    told = alice.get(STATUS).raise_for_status().json()
    assert (told["object"], told["sessions"], told["messages"]) == ("memory.status", 2, 61)
    assert told["index_stats"]["total_blocks"] == 61
    assert told["index_stats"]["average_tokens"] == pytest.approx(told["tokens"] / 61, abs=0.1)
    assert told["archived"] == {"messages": 0, "documents": 0, "complete": True}
    before = texts(get(alice, query="borzoi 7"))
    index = rebuilt(alice)
    assert (index["object"], index["segments"]) == ("memory.index", told["segments"])
    assert (index["changed"], index["has_more"], index["next"]) == (0, False, None)
    assert index["indexes_dropped"] >= told["segments"]
    assert index["retriever"] == {"forgotten": True, "horizon_seconds": 0.0}
    assert texts(get(alice, query="borzoi 7")) == before
    assert alice.get(STATUS).json() == told
    assert rebuilt(alice, "?after=00000000")["segments"] == told["segments"] - 1
    answer = alice.http.post(f"{REBUILD}?after=x", headers=alice.headers)
    assert refused(answer, 400)["param"] == "after"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", SEARCH), ("POST", SEARCH), ("GET", STATUS), ("POST", REBUILD)]
)
def test_a_caller_is_needed(http: httpx.Client, method: str, path: str) -> None:
    assert http.request(method, path).status_code == 401


def test_a_search_counts_as_a_request(tmp_path: Path) -> None:
    with (
        serving(tmp_path, REQUESTS_PER_MINUTE="2") as running,
        httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS) as http,
    ):
        alice = Person(http, {"x-api-key": "sk-alice"})
        first = get(alice, query="borzoi").raise_for_status()
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        rebuilt(alice)
        assert int(get(alice, query="borzoi").headers["retry-after"]) > 0
        assert refused(get(alice, query="borzoi"), 429)["code"] == "rate_limit_exceeded"
        assert alice.get(STATUS).status_code == 200


@pytest.fixture(scope="module")
def retriever() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(attends_to="stove") as started:
        yield started


def test_the_gpu_tier_ranks_where_it_can_be_reached(
    tmp_path: Path, retriever: LoopbackRetriever
) -> None:
    settings = {"MEMORY_COMPRESS_ABOVE_TOKENS": "10", "RETRIEVER_URL": retriever.origin}
    with (
        serving(tmp_path, **settings) as running,
        httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS) as http,
    ):
        alice = Person(http, {"x-api-key": "sk-alice"})
        alice.knows("She sleeps under the stove.")
        answer = get(alice, query="Where is the borzoi?")
        assert answer.headers["x-memory-retriever"] == "gpu"
        assert texts(answer)[0] == "She sleeps under the stove."
        assert hits(answer)[0]["ranks"]["gpu"] == 1
        by_role = get(alice, query="Where is the borzoi?", role="assistant")
        assert texts(by_role) == []
        first, second = (texts_of(one) for one in retriever.asked("rank")[:2])
        assert first == second
        assert retriever.asked("prefill") == []


def test_shared_words_rank_while_the_gpu_tier_is_away(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with (
        serving(tmp_path, MEMORY_COMPRESS_ABOVE_TOKENS="10", RETRIEVER_URL=away) as running,
        httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS) as http,
    ):
        alice = Person(http, {"x-api-key": "sk-alice"})
        alice.knows(BORZOI)
        answer = get(alice, query=ASKED)
        assert answer.headers["x-memory-retriever"] == "lexical; reason=unreachable"
        assert texts(answer)[0] == BORZOI
        assert rebuilt(alice)["retriever"]["forgotten"] is False
