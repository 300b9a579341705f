"""Shared workspaces over HTTP: every route of a memory keeps to the one that was chosen."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import orjson
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.settings import Settings
from gateway.wiring import services
from support.chats import Json, Person, user
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

SECRET = "The password of our boat is zyxonite9417."
ASKED = "What is the password of our boat?"
NEVER_MADE = "ws_" + "a" * 26
PERSONAL_ROUTES = (
    "/v1/workspaces",
    "/v1/models",
    "/v1/keys",
    "/v1/usage",
    "/v1/admin",
    "/console",
    "/health",
    "/metrics",
    "/docs",
    "/openapi.json",
)
ERASE = ("DELETE", "/v1/memory")


@dataclass(frozen=True)
class Somebody(Person):
    """A person who knows how others name them."""

    member: str

    def at(self, workspace: str) -> "Somebody":
        return replace(self, headers={**self.headers, "x-workspace-id": workspace})

    def call(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        return self.http.request(method, path, headers=self.headers, json=body)


@pytest.fixture
def people(http: httpx.Client, sign_in: Callable[[], str]) -> Iterator[Somebody]:
    def endless() -> Iterator[Somebody]:
        while True:
            headers = {"authorization": f"Bearer {sign_in()}"}
            (personal,) = http.get("/v1/workspaces", headers=headers).json()["data"]
            yield Somebody(http, headers, personal["member"])

    return endless()


def made(owner: Somebody, **members: Somebody) -> str:
    """A workspace of `owner`, with one member in each role that is named."""
    answer = owner.call("POST", "/v1/workspaces", {"name": "Household"})
    assert answer.status_code == 201, answer.text
    id = str(answer.json()["id"])
    for role, one in members.items():
        added = owner.call(
            "POST", f"/v1/workspaces/{id}/members", {"member": one.member, "role": role}
        )
        assert added.status_code == 201, added.text
    return id


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code


@pytest.fixture(scope="module")
def app() -> Starlette:
    return services.build(Settings(_env_file=None, google_client_id="app", metrics_enabled=True))


def routes_of_a_memory(app: Starlette) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        and route.path != "/"
        and not route.path.startswith(PERSONAL_ROUTES)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def filled(path: str) -> str:
    while "{" in path:
        start, _, rest = path.partition("{")
        path = start + "x" + rest.partition("}")[2]
    return path


def test_members_share_a_memory_that_is_nobodys_own(
    people: Iterator[Somebody], upstream: LoopbackUpstream
) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, writer=bob)
    bob.at(id).knows(SECRET)
    ada.at(id).says(user(ASKED), session="question")
    assert SECRET in upstream.requests[-1].body.decode()
    found = ada.at(id).get("/v1/memory/search?query=password").json()["data"]
    assert SECRET in {hit["text"] for hit in found}
    assert {one["id"] for one in bob.at(id).sessions()} == {"notes", "other", "question"}
    for person in (ada, bob, ada.at("personal"), bob.at("personal")):
        assert person.sessions() == []
        assert person.get("/v1/memory/search?query=password").json()["data"] == []


def test_to_a_stranger_no_route_of_a_memory_knows_the_workspace(
    people: Iterator[Somebody], app: Starlette
) -> None:
    ada, eve = next(people), next(people)
    id = made(ada)
    ada.at(id).keeps(SECRET)
    for method, path in routes_of_a_memory(app):
        theirs = eve.at(id).call(method, filled(path), {})
        refused(theirs, 404, "workspace_not_found")
        assert theirs.content == eve.at(NEVER_MADE).call(method, filled(path), {}).content
    for other in (f"workspace:{id}", ada.member, id.upper(), f"{id}/../{id}"):
        refused(eve.at(other).get("/v1/sessions"), 404, "workspace_not_found")
    assert ada.at(id).told_texts("notes") == [SECRET]


def test_a_reader_reads_on_every_route_and_writes_on_none(
    people: Iterator[Somebody], app: Starlette
) -> None:
    """Routes come from the router: a new one that writes is closed to readers unless it says so."""
    ada, bob = next(people), next(people)
    id = made(ada, reader=bob)
    ada.at(id).keeps(SECRET)
    reads = {
        ("POST", "/v1/memory/search"),
        ("POST", "/v1/memory/context"),
        ("POST", "/v1/memory/orchestrated-search"),
        ("POST", "/v1/compress"),
        ("POST", "/v1/embeddings"),
    }
    for method, path in routes_of_a_memory(app):
        answer = bob.at(id).call(method, filled(path), {})
        if method == "GET" or (method, path) in reads:
            assert answer.status_code in {200, 400, 404}, (path, answer.text)
            assert answer.status_code == 200 or "workspace" not in answer.text, path
        else:
            refused(answer, 403, "role_insufficient")
    assert ada.at(id).told_texts("notes") == [SECRET]


def test_a_reader_chats_where_nothing_is_remembered(
    people: Iterator[Somebody], upstream: LoopbackUpstream
) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, reader=bob)
    ada.at(id).knows(SECRET)
    before = ada.at(id).sessions()
    for mode in ("on", "write", None):
        refused(bob.at(id).ask(user(ASKED), memory=mode), 403, "role_insufficient")
    assert upstream.requests == []
    bob.at(id).says(user(ASKED), memory="read")
    assert SECRET in upstream.requests[-1].body.decode()
    bob.at(id).says(user(ASKED), memory="off")
    assert SECRET not in upstream.requests[-1].body.decode()
    assert ada.at(id).sessions() == before


def test_only_an_owner_erases_everything_and_the_workspace_stays(
    people: Iterator[Somebody],
) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, writer=bob)
    bob.at(id).keeps(SECRET)
    ada.keeps("Ada's own.")
    refused(bob.at(id).call(*ERASE), 403, "role_insufficient")
    ada.at(id).call(*ERASE).raise_for_status()
    assert bob.at(id).sessions() == []
    assert ada.told_texts("notes") == ["Ada's own."]
    bob.at(id).keeps("Again.")
    assert ada.at(id).told_texts("notes") == ["Again."]


def test_erasing_ones_own_memory_leaves_the_shared_ones(people: Iterator[Somebody]) -> None:
    ada = next(people)
    id = made(ada)
    ada.at(id).keeps(SECRET)
    ada.call(*ERASE).raise_for_status()
    assert [one["id"] for one in ada.get("/v1/workspaces").json()["data"]] == ["personal", id]
    assert ada.at(id).told_texts("notes") == [SECRET]


def test_an_owner_renames_a_workspace(people: Iterator[Somebody]) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, writer=bob)
    one = f"/v1/workspaces/{id}"
    refused(bob.call("PATCH", one, {"name": "Bob's"}), 403, "role_insufficient")
    told = ada.call("PATCH", one, {"name": " Boat "}).raise_for_status().json()
    assert (told["name"], len(told["members"])) == ("Boat", 2)
    assert bob.get(one).json()["name"] == "Boat"
    refused(ada.call("PATCH", "/v1/workspaces/personal", {"name": "x"}), 404, "workspace_not_found")


def test_an_owner_deletes_a_workspace_with_its_memory(people: Iterator[Somebody]) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, writer=bob)
    one = f"/v1/workspaces/{id}"
    bob.at(id).keeps(SECRET)
    bob.keeps("Bob's own.")
    refused(bob.call("DELETE", one), 403, "role_insufficient")
    told = ada.call("DELETE", one).raise_for_status().json()
    assert (told["id"], told["deleted"], told["memory"]["erased"]) == (id, True, True)
    assert told["memory"]["sessions"] == 1
    for person in (ada, bob):
        refused(person.get(one), 404, "workspace_not_found")
        refused(person.at(id).get("/v1/sessions"), 404, "workspace_not_found")
        assert [two["id"] for two in person.get("/v1/workspaces").json()["data"]] == ["personal"]
    refused(ada.call("DELETE", one), 404, "workspace_not_found")
    refused(ada.call("DELETE", "/v1/workspaces/personal"), 404, "workspace_not_found")
    assert bob.told_texts("notes") == ["Bob's own."]


def test_a_workspace_made_again_with_its_old_key_is_empty(people: Iterator[Somebody]) -> None:
    ada = next(people)
    keyed = replace(ada, headers={**ada.headers, "idempotency-key": "boat"})
    id = str(keyed.call("POST", "/v1/workspaces", {"name": "Boat"}).json()["id"])
    ada.at(id).keeps(SECRET)
    ada.call("DELETE", f"/v1/workspaces/{id}").raise_for_status()
    assert keyed.call("POST", "/v1/workspaces", {"name": "Boat"}).json()["id"] == id
    assert ada.at(id).sessions() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"content": "{name}"}),
        ("/v1/items", {"content": "{name}"}),
        ("/v1/memory/entities", {"kind": "other", "name": "{name}"}),
        ("/v1/chat/completions", {"model": "m", "messages": [user("{name}")]}),
    ],
)
def test_two_members_may_choose_the_same_idempotency_key(
    people: Iterator[Somebody], path: str, body: Json
) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, writer=bob)

    def said(person: Somebody, name: str) -> Json:
        headers = {**person.at(id).headers, "idempotency-key": "mine"}
        filled_in = orjson.dumps(body).replace(b"{name}", name.encode())
        told: Json = person.http.post(path, headers=headers, content=filled_in).json()
        told.pop("as_of", None)  # now
        return told

    adas, bobs = said(ada, "Ada's"), said(bob, "Bob's")
    assert adas != bobs
    assert not {"error"} & (adas.keys() | bobs.keys())
    assert (said(ada, "Ada's"), said(bob, "Bob's")) == (adas, bobs)
    assert said(ada, "Bob's")["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("key", ["", "k" * 256])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/items", "/v1/workspaces"])
def test_an_idempotency_key_has_its_bounds_on_every_route(
    people: Iterator[Somebody], path: str, key: str
) -> None:
    ada = next(people)
    headers = {**ada.headers, "idempotency-key": key}
    body = {"name": "n"} if path == "/v1/workspaces" else {"content": "c"}
    answer = ada.http.post(path, headers=headers, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_with_memory_off_a_body_is_the_upstreams_alone(
    people: Iterator[Somebody], upstream: LoopbackUpstream
) -> None:
    ada = next(people)
    headers = {**ada.headers, "x-memory": "off"}
    body = {"model": "m", "messages": [user("c")], "user_id": "theirs", "user": "mine"}
    ada.http.post("/v1/chat/completions", headers=headers, json=body).raise_for_status()
    assert upstream.requests[-1].json == body
    named = {**body, "user_id": ada.member}
    ada.http.post("/v1/chat/completions", headers=ada.headers, json=named).raise_for_status()
    assert upstream.requests[-1].json["user"] == "mine"


def test_members_come_change_and_go(people: Iterator[Somebody]) -> None:
    ada, bob = next(people), next(people)
    id = made(ada, reader=bob)
    one = f"/v1/workspaces/{id}"
    told = bob.get(one).raise_for_status().json()
    assert (told["name"], told["role"], told["member"]) == ("Household", "reader", bob.member)
    assert {entry["member"]: entry["role"] for entry in told["members"]} == {
        ada.member: "owner",
        bob.member: "reader",
    }
    bobs = f"{one}/members/{bob.member}"
    refused(bob.call("PATCH", bobs, {"role": "owner"}), 403, "role_insufficient")
    assert ada.call("PATCH", bobs, {"role": "writer"}).raise_for_status().json()["role"] == "owner"
    bob.at(id).keeps(SECRET)
    assert bob.call("DELETE", f"{one}/members/me").raise_for_status().json()["id"] == bob.member
    refused(bob.get(one), 404, "workspace_not_found")
    refused(bob.at(id).get("/v1/sessions"), 404, "workspace_not_found")
    refused(ada.call("DELETE", bobs), 404, "member_not_found")
    refused(ada.call("DELETE", f"{one}/members/me"), 409, "last_owner")
    assert ada.at(id).told_texts("notes") == [SECRET]


def test_a_member_may_be_a_key(people: Iterator[Somebody], http: httpx.Client) -> None:
    ada = next(people)
    alice = Somebody(http, {"x-api-key": "sk-alice"}, "key:alice")
    id = made(ada, writer=alice)
    alice.at(id).keeps(SECRET)
    assert ada.at(id).told_texts("notes") == [SECRET]
    assert ada.call("DELETE", f"/v1/workspaces/{id}/members/key:alice").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "", {}, "name"),
        ("POST", "", {"name": " "}, "name"),
        ("POST", "", {"name": "n" * 101}, "name"),
        ("POST", "", {"name": "n", "members": []}, "members"),
        ("POST", "/{id}/members", {"member": "ada", "role": "reader"}, "member"),
        ("POST", "/{id}/members", {"member": "google:\n", "role": "reader"}, "member"),
        ("POST", "/{id}/members", {"member": "key:" + "x" * 256}, "member"),
        ("POST", "/{id}/members", {"member": "key:x", "role": "god"}, "role"),
        ("PATCH", "/{id}/members/me", {}, "role"),
        ("PATCH", "/{id}", {}, "name"),
        ("PATCH", "/{id}", {"name": " "}, "name"),
        ("PATCH", "/{id}", {"name": "n", "members": []}, "members"),
        ("GET", "?limit=0", None, "limit"),
        ("GET", "?limit=101", None, "limit"),
        ("GET", "?after=../x", None, "after"),
    ],
)
def test_what_is_malformed_is_refused_and_named(
    people: Iterator[Somebody], method: str, path: str, body: Json | None, param: str
) -> None:
    ada = next(people)
    url = "/v1/workspaces" + path.replace("{id}", made(ada) if "{id}" in path else "")
    answer = ada.call(method, url, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_list_is_paged_and_begins_with_the_personal_one(people: Iterator[Somebody]) -> None:
    ada = next(people)
    ids = {made(ada) for _ in range(3)}
    first = ada.get("/v1/workspaces?limit=2").json()
    second = ada.get(f"/v1/workspaces?limit=2&after={first['next']}").json()
    listed = [one["id"] for one in itertools.chain(first["data"], second["data"])]
    assert (listed[0], set(listed[1:]), len(listed)) == ("personal", ids, 4)
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)


@pytest.mark.parametrize("field", ["user_id", "tenant_id", "workspace_id"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/messages", {"content": "c"}),
        ("POST", "/v1/items", {"content": "c"}),
        ("POST", "/v1/memory/search", {"query": "q"}),
        ("POST", "/v1/chat/completions", {"model": "m", "messages": [user("c")]}),
        ("POST", "/v1/compress", {"messages": [user("c")]}),
    ],
)
def test_a_body_that_names_somebody_else_is_forbidden_and_ones_own_name_decides_nothing(
    people: Iterator[Somebody], method: str, path: str, body: Json, field: str
) -> None:
    ada, bob = next(people), next(people)
    id = made(ada)
    foreigners: tuple[object, ...] = (bob.member, NEVER_MADE, [], {"a": 1}, 7, "")
    for foreign in foreigners:
        answer = ada.at(id).call(method, path, {**body, field: foreign})
        refused(answer, 403, "forbidden")
        assert answer.json()["error"]["param"] == field
    for own in (ada.member, id, None):
        assert ada.at(id).call(method, path, {**body, field: own}).status_code in {200, 201}
    assert ada.sessions() == []


async def test_limits_stay_with_the_caller(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        api_keys=SecretStr("ada:sk-ada,bob:sk-bob"),
        store_url=f"sqlite:///{tmp_path / 'memory.db'}",
        requests_per_minute=3,
    )
    transport = httpx.ASGITransport(app=services.build(settings))
    ada, bob = {"x-api-key": "sk-ada"}, {"x-api-key": "sk-bob"}
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        made = await http.post("/v1/workspaces", headers=ada, json={"name": "Household"})
        id = made.raise_for_status().json()["id"]
        member = {"member": "key:bob", "role": "writer"}
        added = await http.post(f"/v1/workspaces/{id}/members", headers=ada, json=member)
        assert added.status_code == 201

        async def stores(person: dict[str, str], workspace: str) -> int:
            headers = {**person, "x-workspace-id": workspace}
            answer = await http.post("/v1/messages", headers=headers, json={"content": "c"})
            return answer.status_code

        assert [await stores(bob, id) for _ in range(4)] == [201, 201, 201, 429]
        assert await stores(bob, "personal") == 429
        assert await stores(ada, id) == 201
