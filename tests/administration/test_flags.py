"""Flags over HTTP: what is switched off is off, for whom it is, and comes back."""

from collections.abc import Mapping

import httpx
import pytest

from gateway.accounts.flags import FLAGS
from gateway.documents.metered import MeteredDocuments
from support.admins import ALICE, Json, Open, Person, code_of

SERVICE = "/v1/admin/flags"
MEMORY = "ENABLE_CONTEXT_MEMORY"
LONG = "My dog is called Rex and he likes apples."


async def switch(ops: Person, flags: Mapping[str, bool | None], path: str = SERVICE) -> Json:
    answer: Json = (await ops.asks("PUT", path, {"flags": dict(flags)})).raise_for_status().json()
    return answer


def storing(session: str = "s") -> dict[str, Json]:
    return {
        "/v1/messages": {"content": "Noted.", "session_id": session},
        "/v1/items": {"content": "Noted.", "thread_id": session},
        "/v1/memory/entities": {"kind": "other", "name": "Rex"},
        "/v1/memory/import": {"type": "message", "role": "user", "content": "Noted.",
                              "session_id": session},
        "/v1/memory/process-session": {"session_id": session, "memory_input": "Rex is a dog."},
        "/v1/memory/process-and-commit": {"session_id": session, "memory_input": "Rex."},
        "/v1/memory/commit-session": {"session_id": session},
    }  # fmt: skip


async def test_the_settings_are_told_and_overridden_and_come_back(ops: Person) -> None:
    told = await ops.gets(SERVICE)
    assert set(told["flags"]) == set(told["overrides"]) == set(FLAGS)
    assert (told["flags"][MEMORY], told["overrides"][MEMORY]) == (True, None)
    told = await switch(ops, {MEMORY: False})
    assert (told["flags"][MEMORY], told["overrides"][MEMORY]) == (False, False)
    one = f"{SERVICE}/{ALICE}"
    assert (await ops.gets(one))["flags"][MEMORY] is False
    told = await switch(ops, {MEMORY: True}, one)
    assert (told["flags"][MEMORY], told["overrides"][MEMORY]) == (True, True)
    assert (await ops.gets(SERVICE))["flags"][MEMORY] is False
    assert (await switch(ops, {MEMORY: None}))["flags"][MEMORY] is True


async def test_a_memory_that_is_off_remembers_nothing_and_recalls_nothing(
    ops: Person, alice: Person, bob: Person, documents: MeteredDocuments
) -> None:
    await alice.says(LONG)
    await bob.says(LONG)
    await switch(ops, {MEMORY: False}, f"{SERVICE}/{ALICE}")
    answer = await alice.says("What does my dog like?", session="t")
    assert answer.headers["x-memory-status"] == "off"
    assert "Rex" not in answer.text
    messages = await alice.gets("/v1/sessions/s/messages")
    assert messages["data"][0]["content"] == LONG  # what is there can be read
    sessions = await alice.gets("/v1/sessions")
    assert [one["id"] for one in sessions["data"]] == ["s"]
    for path, body in storing().items():
        assert code_of(await alice.asks("POST", path, body)) == (403, "memory_disabled")
    assert "Rex" in (await bob.says("What does my dog like?", session="t")).text
    assert (await alice.asks("DELETE", "/v1/memory")).status_code == 200
    await switch(ops, {MEMORY: None}, f"{SERVICE}/{ALICE}")
    assert (await alice.says(LONG)).headers["x-memory-status"] != "off"
    assert (await alice.gets("/v1/sessions"))["data"]


async def test_compression_brings_in_no_memory_that_is_off(ops: Person, alice: Person) -> None:
    await alice.says(LONG)
    body = {"messages": [{"role": "user", "content": "What does my dog like?"}]}
    for off, lines in ((False, 1), (True, 0)):
        if off:
            await switch(ops, {MEMORY: False})
        headers = {"x-memory": "read"}
        answer = (await alice.asks("POST", "/v1/compress", body, **headers)).json()
        assert answer["compression_skipped"] is False
        assert len(answer["memory"]["lines"]) == lines


async def test_what_stands_in_the_settings_is_where_it_begins(
    open_service: Open, documents: MeteredDocuments
) -> None:
    client = open_service(documents, enable_context_memory=False)
    alice = Person(client, "alice")
    assert (await alice.says(LONG)).headers["x-memory-status"] == "off"
    assert (await documents.get(f"owners/{ALICE}")) == [None]


async def test_a_search_that_a_model_words_is_switched_for_one(
    ops: Person, alice: Person, bob: Person
) -> None:
    await switch(ops, {"ENABLE_ORCHESTRATED_SEARCH": False}, f"{SERVICE}/{ALICE}")
    body = {"conversation": "What does my dog like?"}
    path = "/v1/memory/orchestrated-search"
    assert code_of(await alice.asks("POST", path, body)) == (404, "feature_disabled")
    assert (await bob.asks("POST", path, body)).status_code == 200


async def test_a_shared_workspace_is_switched_by_its_id(
    ops: Person, alice: Person, client: httpx.AsyncClient
) -> None:
    made = (await alice.asks("POST", "/v1/workspaces", {"name": "Home"})).json()["id"]
    await switch(ops, {MEMORY: False}, f"{SERVICE}/{made}")
    body = storing()["/v1/messages"]
    there = await alice.asks("POST", "/v1/messages", body, **{"x-workspace-id": made})
    assert code_of(there) == (403, "memory_disabled")
    assert (await alice.asks("POST", "/v1/messages", body)).status_code == 201


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"flags": {"ENABLE_TELEPATHY": True}}, "flags"),
        ({"flags": {}}, "flags"),
        ({"flags": {MEMORY: "false"}}, f"flags.{MEMORY}"),
        ({"flags": {MEMORY: 0}}, f"flags.{MEMORY}"),
        ({"flags": [MEMORY]}, "flags"),
        ({"flag": {MEMORY: False}}, "flags"),
        ({}, "flags"),
    ],
)
async def test_what_is_malformed_is_refused_and_changes_nothing(
    ops: Person, documents: MeteredDocuments, body: Json, param: str
) -> None:
    answer = await ops.asks("PUT", SERVICE, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert await documents.list("flags") == await documents.list("audit") == []


@pytest.mark.parametrize("workspace", ["personal", "ws_" + "a" * 26, "junk", "a" * 51, "key:alice"])
async def test_a_workspace_that_is_none_is_not_found(ops: Person, workspace: str) -> None:
    for method, body in (("GET", None), ("PUT", {"flags": {MEMORY: False}})):
        answer = await ops.asks(method, f"{SERVICE}/{workspace}", body)
        assert answer.status_code == 404
