"""Legal holds: what is held is neither swept nor erased nor changed; all else goes on."""

import asyncio

import pytest

from gateway.documents.base import Update
from gateway.documents.metered import MeteredDocuments
from gateway.memory.heads import Owner
from gateway.retention.holds import Holds
from support.admins import ALICE, BOB, Person, code_of

HELD = f"/v1/admin/holds/{ALICE}"


async def owner(documents: MeteredDocuments, id: str = ALICE) -> Owner:
    return Owner.of((await documents.get(f"owners/{id}"))[0])


async def test_a_memory_that_is_held_is_not_erased_nor_changed_until_it_is_lifted(
    ops: Person, alice: Person
) -> None:
    await alice.says("My dog is called Rex.")
    hold = (await ops.asks("PUT", HELD)).raise_for_status().json()
    assert (hold["id"], hold["legal_hold"], hold["by"]) == (ALICE, True, "key:ops")
    (message, *_) = (await alice.gets("/v1/sessions/s/messages"))["data"]
    one = f"/v1/messages/{message['id']}"
    for method, path, body in (
        ("DELETE", "/v1/memory", None),
        ("DELETE", "/v1/sessions/s", None),
        ("DELETE", one, None),
        ("PATCH", one, {"content": "Mine."}),
    ):
        assert code_of(await alice.asks(method, path, body)) == (409, "legal_hold"), path
    await alice.says("And he likes apples.")  # turns are stored as ever, and what holds stays
    assert (await alice.gets("/v1/memory/status"))["legal_hold"] is True
    await ops.asks("DELETE", HELD)
    assert (await alice.asks("DELETE", "/v1/memory")).status_code == 200


async def test_the_sweep_leaves_what_is_held(ops: Person, alice: Person, bob: Person) -> None:
    await alice.says("Hello.")
    await bob.says("Hello.")
    await ops.asks("PUT", HELD)
    report = (await ops.asks("POST", "/v1/admin/retention", {"dry_run": False})).json()
    assert (report["owners"], report["held"]) == (2, 1)


async def test_a_hold_set_twice_is_the_first_one_and_lifted_twice_is_lifted(
    ops: Person, alice: Person, documents: MeteredDocuments
) -> None:
    await alice.says("Hello.")
    first = (await ops.asks("PUT", HELD)).json()
    version = (await owner(documents)).version
    assert (await ops.asks("PUT", HELD)).json() == first
    assert (await owner(documents)).version == version
    for _ in range(2):
        assert (await ops.asks("DELETE", HELD)).json()["legal_hold"] is False
    assert not (await owner(documents)).hold
    acts = [one["act"] for one in (await ops.gets("/v1/admin/audit"))["data"]]
    assert acts == ["audit.list", "holds.lift", "holds.lift", "holds.set", "holds.set"]


async def test_a_hold_keeps_no_key_alive(ops: Person, alice: Person) -> None:
    """Keys are credentials, no memory: a key that got about is revoked whatever is held."""
    await alice.says("Hello.")
    await ops.asks("PUT", HELD)
    given = {"name": "app", "scopes": ["chat", "admin"]}
    made = [(await alice.asks("POST", "/v1/keys", given)).json() for _ in range(2)]
    for person, one, path in zip((alice, ops), made, ("/v1/keys", "/v1/admin/keys"), strict=True):
        revoked = await person.asks("DELETE", f"{path}/{one['id']}")
        assert revoked.raise_for_status().json()["deleted"] is True
        used = await alice.asks("GET", "/v1/me", **{"x-api-key": one["key"]})
        assert code_of(used) == (401, "invalid_api_key")
    assert (await alice.gets("/v1/memory/status"))["legal_hold"] is True


async def test_a_key_of_whom_is_held_erases_no_more_than_they_may(
    ops: Person, alice: Person
) -> None:
    await alice.says("Hello.")
    given = {"name": "app", "scopes": ["memory:write"]}
    key = (await alice.asks("POST", "/v1/keys", given)).json()["key"]
    await ops.asks("PUT", HELD)
    erased = await alice.asks("DELETE", "/v1/memory", **{"x-api-key": key})
    assert code_of(erased) == (409, "legal_hold")


async def test_holds_are_listed_in_pages(ops: Person, alice: Person, bob: Person) -> None:
    assert (await ops.gets("/v1/admin/holds"))["data"] == []
    for person, id in ((alice, ALICE), (bob, BOB)):
        await person.says("Hello.")
        await ops.asks("PUT", f"/v1/admin/holds/{id}")
    first = await ops.gets("/v1/admin/holds?limit=1")
    assert first["has_more"] is True
    second = await ops.gets(f"/v1/admin/holds?limit=1&after={first['next']}")
    assert [one["id"] for one in first["data"] + second["data"]] == sorted([ALICE, BOB])
    assert second["next"] is None


async def test_a_shared_workspace_is_held_by_its_id(ops: Person, alice: Person) -> None:
    made = (await alice.asks("POST", "/v1/workspaces", {"name": "Home"})).json()["id"]
    path, there = f"/v1/admin/holds/{made}", {"x-workspace-id": made}
    assert code_of(await ops.asks("PUT", path)) == (404, "memory_not_found")
    body = {"content": "Noted.", "session_id": "s"}
    (await alice.asks("POST", "/v1/messages", body, **there)).raise_for_status()
    assert (await ops.asks("PUT", path)).status_code == 200
    gone = await alice.asks("DELETE", f"/v1/workspaces/{made}")
    assert code_of(gone) == (409, "legal_hold")
    assert (await alice.gets(f"/v1/workspaces/{made}"))["id"] == made
    assert (await alice.gets("/v1/memory/status"))["legal_hold"] is False


@pytest.mark.parametrize("id", [ALICE, "junk", "ws_" + "a" * 26, "a" * 52, "key:alice"])
async def test_what_is_nobodys_memory_cannot_be_held(
    ops: Person, documents: MeteredDocuments, id: str
) -> None:
    for method in ("PUT", "DELETE"):
        assert (await ops.asks(method, f"/v1/admin/holds/{id}")).status_code == 404
    assert await documents.list("owners") == await documents.list("audit") == []


async def test_an_erasure_that_has_begun_goes_on_to_its_end(
    ops: Person, alice: Person, documents: MeteredDocuments
) -> None:
    await alice.says("Hello.")
    before = await owner(documents)
    assert before.version is not None
    erasing = {**before.packed(), "erasing": True}
    await documents.commit(Update(f"owners/{ALICE}", erasing, before.version))
    assert code_of(await ops.asks("PUT", HELD)) == (409, "memory_erasing")
    assert not (await owner(documents)).hold
    assert (await alice.asks("DELETE", "/v1/memory")).status_code == 200


async def test_a_turn_meanwhile_loses_neither_the_hold_nor_itself(
    ops: Person, alice: Person, documents: MeteredDocuments
) -> None:
    await alice.says("Hello.")
    for n in range(5):
        method = "PUT" if n % 2 == 0 else "DELETE"
        turn = alice.says(f"And {n}.")
        hold, _ = await asyncio.gather(ops.asks(method, HELD), turn)
        assert hold.status_code == 200
    assert (await owner(documents)).hold
    assert len((await alice.gets("/v1/sessions/s/messages"))["data"]) == 6


async def test_nobody_is_listed_for_no_ids(documents: MeteredDocuments) -> None:
    assert await Holds(documents, lambda: 0.0).among([]) == {}
