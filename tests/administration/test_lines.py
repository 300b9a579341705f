"""Every admin route: closed to everybody else, and no act without its line.

The routes come from the router, so a new one fails here until it says how an admin asks it.
"""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from gateway.accounts.audit import Entry
from gateway.documents.base import Documents
from gateway.documents.metered import MeteredDocuments, Operations
from support.admins import ALICE, CANARY, Open, Person, built, code_of
from support.outages import Outcome, Unreliable

Json = dict[str, Any]
Method = tuple[str, str]

SWITCH = {"flags": {"ENABLE_REDACTION": False}}
ALLOWED = {"limits": {"requests_per_minute": 7}}
KEY = "key_" + "a" * 26
"""Stands for a key of alice's, whose id is known once it is made."""

ASKED: Mapping[Method, tuple[str, Json | None, str]] = {
    ("GET", "/v1/admin/identities"): ("/v1/admin/identities", None, "identities.list"),
    ("GET", "/v1/admin/usage"): ("/v1/admin/usage?days=2", None, "usage.read"),
    ("GET", "/v1/admin/flags"): ("/v1/admin/flags", None, "flags.read"),
    ("PUT", "/v1/admin/flags"): ("/v1/admin/flags", SWITCH, "flags.set"),
    ("GET", "/v1/admin/flags/{workspace}"): (f"/v1/admin/flags/{ALICE}", None, "flags.read"),
    ("PUT", "/v1/admin/flags/{workspace}"): (f"/v1/admin/flags/{ALICE}", SWITCH, "flags.set"),
    ("POST", "/v1/admin/retention"): ("/v1/admin/retention", {"dry_run": False}, "retention.run"),
    ("GET", "/v1/admin/holds"): ("/v1/admin/holds", None, "holds.list"),
    ("PUT", "/v1/admin/holds/{id}"): (f"/v1/admin/holds/{ALICE}", None, "holds.set"),
    ("DELETE", "/v1/admin/holds/{id}"): (f"/v1/admin/holds/{ALICE}", None, "holds.lift"),
    ("GET", "/v1/admin/limits/{id:path}"): (f"/v1/admin/limits/{ALICE}", None, "limits.read"),
    ("PUT", "/v1/admin/limits/{id:path}"): (f"/v1/admin/limits/{ALICE}", ALLOWED, "limits.set"),
    ("DELETE", "/v1/admin/limits/{id:path}"): (
        f"/v1/admin/limits/{ALICE}",
        None,
        "limits.delete",
    ),
    ("GET", "/v1/admin/keys"): ("/v1/admin/keys?limit=2", None, "keys.list"),
    ("DELETE", "/v1/admin/keys/{id}"): (f"/v1/admin/keys/{KEY}", None, "keys.delete"),
    ("GET", "/v1/admin/audit"): ("/v1/admin/audit", None, "audit.list"),
}
"""How an admin asks each route, and the act that its line names."""

SILENT: Mapping[Method, str] = {("GET", "/v1/admin/health"): "/v1/admin/health"}
"""Tells of nobody, and is asked again and again."""

EVERY = {**{route: asked[0] for route, asked in ASKED.items()}, **SILENT}


async def key_of(person: Person) -> str:
    """The id of a key that is made for it."""
    given = {"name": CANARY, "scopes": ["chat"]}
    answer = await person.asks("POST", "/v1/keys", given)
    return str(answer.raise_for_status().json()["id"])


async def lines(documents: Documents) -> list[Entry]:
    return [Entry.of(one) for one in await documents.list("audit", limit=100)]


def test_every_admin_route_is_asked() -> None:
    """Give a new route its place above: an act that leaves a line, or one of the silent."""
    found = [route for route in built().routes if isinstance(route, Route)]
    served = {
        (method, one.path)
        for one in found
        for method in (one.methods or set()) - {"HEAD"}
        if one.path.startswith("/v1/admin")
    }
    assert served == set(EVERY)


async def test_every_act_leaves_one_line(
    client: httpx.AsyncClient, documents: MeteredDocuments
) -> None:
    alice, ops = Person(client, "alice"), Person(client, "ops")
    await alice.says(f"My boat's password is {CANARY}.")
    key = await key_of(alice)
    for (method, _), (path, body, act) in ASKED.items():
        before = {one.id for one in await lines(documents)}
        answer = await ops.asks(method, path.replace(KEY, key), body)
        assert answer.status_code == 200, (path, answer.text)
        assert (CANARY in answer.text) == (act == "keys.list")  # what a key is called is told
        (line,) = [one for one in await lines(documents) if one.id not in before]
        assert (line.actor, line.act) == ("key:ops", act)
        assert CANARY not in str(line)
        assert "sk-" not in str(line)
    assert {line.target for line in await lines(documents)} >= {ALICE, "service", "all"}


async def test_what_is_only_looked_at_again_and_again_leaves_none(
    client: httpx.AsyncClient, documents: MeteredDocuments
) -> None:
    for (method, _), path in SILENT.items():
        assert (await Person(client, "ops").asks(method, path)).status_code == 200
    assert await lines(documents) == []


@pytest.mark.parametrize("route", ASKED, ids=" ".join)
async def test_what_could_leave_no_line_did_not_happen(
    client: httpx.AsyncClient, documents: MeteredDocuments, open_service: Open, route: Method
) -> None:
    """The store takes no write, as far as the admin's instance can see."""
    await Person(client, "alice").says("Hello.")
    key = await key_of(Person(client, "alice"))
    path, body, _ = ASKED[route]
    path = path.replace(KEY, key)
    collections = ("audit", "flags", "holds", "keys", "ops", "usage")
    before = [await documents.list(one) for one in collections]
    refusing: list[Outcome] = ["refused"] * 99
    ops = Person(open_service(Unreliable(documents, *refusing)), "ops")
    answer = await ops.asks(route[0], path, body)
    assert code_of(answer) == (503, "store_unavailable")
    assert [await documents.list(one) for one in collections] == before
    assert (await documents.get(f"owners/{ALICE}"))[0].fields["hold"] is False  # type: ignore[union-attr] # it spoke


@pytest.mark.parametrize("route", EVERY, ids=" ".join)
async def test_everybody_else_is_refused_and_learns_nothing(
    client: httpx.AsyncClient, documents: MeteredDocuments, route: Method
) -> None:
    alice, bob = Person(client, "alice"), Person(client, "bob")
    await alice.says("Hello.")
    made = (await alice.asks("POST", "/v1/workspaces", {"name": "Mine"})).json()["id"]
    template = route[1].partition("{")[0]
    tried = [EVERY[route], f"{EVERY[route]}?limit=junk&day=junk"]
    if "{" in route[1]:
        tried = [f"{template}{id}" for id in (ALICE, "a" * 52, made, "ws_" + "a" * 26, "junk")]
    documents.reset()
    answers = []
    for path in tried:
        for body in (None, {"flags": {"ENABLE_REDACTION": False}}, {"junk": 1}):
            for workspace in ({}, {"x-workspace-id": made}, {"x-workspace-id": "junk"}):
                answers.append(await bob.asks(route[0], path, body, **workspace))
                answers.append(await alice.asks(route[0], path, body, **workspace))
    assert {code_of(one) for one in answers} == {(403, "admin_required")}
    assert len({one.content for one in answers}) == 1
    assert documents.reset() == Operations()
    nobody = await client.request(route[0], tried[0])
    assert nobody.status_code == 401
    wrong = await client.request(route[0], tried[0], headers={"x-api-key": "sk-opss"})
    assert wrong.status_code == 401


async def test_without_admins_named_there_are_none(
    open_service: Open, documents: MeteredDocuments
) -> None:
    client = open_service(documents, admin_subjects="")
    for (method, _), path in EVERY.items():
        answer = await Person(client, "ops").asks(method, path)
        assert code_of(answer) == (403, "admin_required")
