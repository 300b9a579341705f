"""Redaction in the running service: what is stored and what the GPU tier sees, and what is not."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.chats import Json, Person, assistant, block_of, sent, user
from support.retriever import LoopbackRetriever
from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

ADDRESS, CARD, PHONE = "ada.lovelace@example.com", "4111 1111 1111 1111", "+1 415 555 2671"
KEY = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
TOLD = f"My stove key is {KEY}, write to {ADDRESS} or call {PHONE}, card {CARD}."
KEPT = (
    "My stove key is [REDACTED_API_KEY], write to [REDACTED_EMAIL] or call [REDACTED_PHONE],"
    " card [REDACTED_CARD]."
)
SECRETS = (ADDRESS, CARD, PHONE, KEY)
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def retriever() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(attends_to="stove") as running:
        yield running


@pytest.fixture(scope="module")
def service(
    folder: Path, running_upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> Iterator[Service]:
    people = ",".join(f"p{n}:sk-p{n}" for n in range(30))
    with serving(
        folder,
        UPSTREAM_BASE=running_upstream.base_url,
        RETRIEVER_URL=retriever.origin,
        MEMORY_COMPRESS_ABOVE_TOKENS="40",
        API_KEYS=people,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def newcomer(http: httpx.Client) -> Callable[[], Person]:
    numbers = iter(range(30))
    return lambda: Person(http, {"x-api-key": f"sk-p{next(numbers)}"})


@pytest.fixture
def alice(newcomer: Callable[[], Person], upstream: LoopbackUpstream) -> Person:
    return newcomer()


def kept_whole(person: Person) -> str:
    return person.get("/v1/memory/export").raise_for_status().text


def test_the_upstream_gets_what_was_said_and_the_store_what_may_be_kept(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    answer = alice.ask(user(TOLD), session="talk").raise_for_status()
    assert sent(upstream) == [user(TOLD)]
    assert answer.json()["choices"][0]["message"]["content"] == f"echo: {TOLD}"
    assert answer.headers["x-redactions"] == "4"
    assert alice.told_texts("talk") == [KEPT, f"echo: {KEPT}"]
    assert not any(one in kept_whole(alice) for one in SECRETS)


def test_nothing_to_take_out_is_told_too_and_code_stays(alice: Person) -> None:
    code = "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'  # q@k.T"
    answer = alice.ask(user(code), session="code").raise_for_status()
    assert answer.headers["x-redactions"] == "0"
    assert alice.told_texts("code")[0] == code


def test_a_stream_is_passed_whole_and_stored_redacted(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    answer = alice.ask(user(TOLD), session="stream", stream=True).raise_for_status()
    assert ADDRESS in answer.text
    assert answer.headers["x-redactions"] == "4"
    assert alice.told_texts("stream") == [KEPT, f"echo: {KEPT}"]


@pytest.mark.parametrize("session", ["named", None])
def test_a_resent_history_is_known_by_what_was_said(alice: Person, session: str | None) -> None:
    history = [user(TOLD), assistant(alice.says(user(TOLD), session=session))]
    alice.ask(*history, user("And then?"), session=session).raise_for_status()
    (one,) = alice.sessions()
    assert alice.told_texts(one["id"])[:3] == [KEPT, f"echo: {KEPT}", "And then?"]
    assert len(alice.told_texts(one["id"])) == 4


def test_the_same_words_again_are_redacted_again(alice: Person) -> None:
    for _ in range(2):
        alice.ask(user(TOLD), session="again").raise_for_status()
    assert alice.told_texts("again") == [KEPT, f"echo: {KEPT}"] * 2


def test_the_retriever_sees_no_secret_in_questions_memories_or_cut_messages(
    alice: Person, upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> None:
    retriever.requests.clear()
    alice.keeps(*[f"Note {n}: {TOLD}" for n in range(4)])
    history = [user(f"Earlier, {TOLD}"), assistant("Noted.")] * 14
    answer = alice.ask(*history, user(f"What of the stove and {ADDRESS}?"), session="long")
    assert answer.raise_for_status().headers["x-memory-retriever"].startswith("gpu")
    asked = retriever.asked("rank")
    assert "[REDACTED_EMAIL]" in asked[-1].json["queries"][0]
    assert KEPT in asked[-1].body.decode()
    assert not any(one in each.body.decode() for each in retriever.requests for one in SECRETS)
    block = block_of(sent(upstream))
    assert "[REDACTED_CARD]" in block
    assert not any(one in block for one in SECRETS)
    assert sent(upstream)[-1] == user(f"What of the stove and {ADDRESS}?")

    found = alice.get(f"/v1/memory/search?query=stove {ADDRESS}").raise_for_status().json()
    assert found["data"]
    assert not any(one in each.body.decode() for each in retriever.requests for one in SECRETS)


def test_calls_of_tools_keep_their_ids_and_lose_their_secrets(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    arguments = json.dumps(
        {"to": ADDRESS, "api_key": "Zq81LmTt04XcPw", "card": int("41" + "1" * 14)}
    )
    call = {
        "id": "call_aB3dE6gH9jK2mN5pQ8sT1vW4",
        "type": "function",
        "function": {"name": "send", "arguments": arguments},
    }
    upstream.queue(Answer.json(completion(None, tool_calls=[call])))
    answer = alice.ask(user("Send it."), session="tools").raise_for_status()
    assert answer.json()["choices"][0]["message"]["tool_calls"] == [call]
    (kept,) = alice.told("tools")[1]["tool_calls"]
    assert kept["id"] == call["id"]
    assert json.loads(kept["function"]["arguments"]) == {
        "to": "[REDACTED_EMAIL]",
        "api_key": "[REDACTED_API_KEY]",
        "card": "[REDACTED_CARD]",
    }


def test_memory_off_is_left_alone(alice: Person, upstream: LoopbackUpstream) -> None:
    answer = alice.ask(user(TOLD), memory="off").raise_for_status()
    assert sent(upstream) == [user(TOLD)]
    assert "x-redactions" not in answer.headers


def send(person: Person, method: str, path: str, body: Any) -> httpx.Response:
    return person.http.request(method, path, json=body, headers=person.headers).raise_for_status()


def test_messages_items_and_edits_are_stored_redacted(alice: Person) -> None:
    note = {"content": TOLD, "session_id": "a", "metadata": {"from": ADDRESS, "n": 3}}
    stored = send(alice, "POST", "/v1/messages", note)
    assert stored.headers["x-redactions"] == "5"  # the metadata too
    (told,) = alice.told("a")
    assert (told["content"], told["metadata"]) == (KEPT, {"from": "[REDACTED_EMAIL]", "n": 3})
    edited = send(alice, "PATCH", f"/v1/messages/{told['id']}", {"content": f"Now {TOLD}"})
    assert edited.json()["content"] == f"Now {KEPT}"
    item = send(alice, "POST", "/v1/items", {"content": TOLD, "item_type": "note"})
    assert item.json()["content"] == KEPT
    assert not any(one in kept_whole(alice) for one in SECRETS)


def test_an_import_is_stored_redacted_and_known_again(alice: Person) -> None:
    line = {"messages": [{"role": "user", "content": TOLD}], "id": "past", "title": ADDRESS}
    body = json.dumps([line]).encode()
    reports = [
        alice.http.post("/v1/memory/import", content=body, headers=alice.headers) for _ in range(2)
    ]
    first, second = [one.raise_for_status().json() for one in reports]
    assert (first["stored"], second["stored"], second["unchanged"]) == (1, 0, 1)
    assert reports[0].headers["x-redactions"] != "0"
    assert "REDACTED_EMAIL" in (whole := kept_whole(alice))
    assert not any(one in whole for one in SECRETS)


def test_facts_by_hand_and_facts_of_a_session_hold_no_secret(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    entity = {"kind": "person", "name": f"Ada {ADDRESS}", "statements": [{"text": TOLD}]}
    made = send(alice, "POST", "/v1/memory/entities", entity).json()
    assert made["name"] == "Ada [REDACTED_EMAIL]"
    change = {"version": made["version"], "add": [{"text": f"Calls {PHONE}."}]}
    send(alice, "PATCH", f"/v1/memory/entities/{made['id']}", change)

    upstream.queue(lambda request: proposal(request.json["messages"][-1]["content"]))
    told = {"session_id": "s", "memory_input": f"Berta lives at {ADDRESS}."}
    staged = send(alice, "POST", "/v1/memory/process-session", told)
    assert ADDRESS not in staged.text
    assert ADDRESS not in upstream.requests[-1].body.decode()
    send(alice, "POST", "/v1/memory/commit-session", {"session_id": "s"})
    whole = kept_whole(alice)
    assert "Berta lives at [REDACTED_EMAIL]." in whole
    assert not any(one in whole for one in SECRETS)


def proposal(asked: str) -> Answer:
    """A model that says again what it was told."""
    said = next(line for line in asked.splitlines() if "Berta" in line)
    text = said[said.index("Berta") :].partition('"')[0]
    statement = {"text": text, "sources": [1]}
    operation = {"op": "create", "kind": "person", "name": "Berta", "statements": [statement]}
    return Answer.json(completion(json.dumps({"operations": [operation]})))


def test_switched_off_everything_is_kept_as_it_was_said(
    tmp_path: Path, upstream: LoopbackUpstream
) -> None:
    settings: Json = {"UPSTREAM_BASE": upstream.base_url, "ENABLE_REDACTION": "false"}
    with (
        serving(tmp_path, **settings) as plain,
        httpx.Client(base_url=plain.url, timeout=PATIENCE_SECONDS, trust_env=False) as client,
    ):
        person = Person(client, {"x-api-key": "sk-alice"})
        answer = person.ask(user(TOLD), session="talk").raise_for_status()
        assert "x-redactions" not in answer.headers
        assert person.told_texts("talk") == [TOLD, f"echo: {TOLD}"]
