"""What one person stored no other one meets, on any route; what was erased nobody meets again.

The routes come from the router, so a new one fails here until it says how a stranger would try it.
"""

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.documents.metered import MeteredDocuments
from gateway.memory.records import session_key
from gateway.settings import Settings
from gateway.wiring import parts, services
from support.certificates import AUDIENCE
from support.chats import UNRELATED, Json, Person, assistant, user
from support.service import Service, serving
from support.stores import KINDS, opener
from support.upstream import Answer, LoopbackUpstream, Recorded, completion, echo

pytestmark = pytest.mark.service

CANARY = "zyxonite9417"
TOLD = f"The password of my boat is {CANARY}."
ASKED = "What is the password of my boat?"
KEY = "a-key-of-the-first-person"
SESSION = "journal-of-a-boat"
STAGED = "talk-about-a-boat"
GREETING = "Good morning, how was your night?"
PEOPLE = [f"p{n}" for n in range(200)]
SETTINGS = {
    "API_KEYS": ",".join(f"{name}:sk-{name}" for name in PEOPLE),
    "GOOGLE_CLIENT_ID": AUDIENCE,
    "DEVELOPMENT_ISSUER": "true",
    "REQUESTS_PER_MINUTE": "0",
    "TOKENS_PER_MINUTE": "0",
    "GLOBAL_REQUESTS_PER_MINUTE": "0",
    "METRICS_ENABLED": "true",
    "METRICS_TOKEN": "scrape",
}
PATIENCE_SECONDS = 30.0
LIMITER_WRITES = 1  # for a change, which counts as a request

Method = tuple[str, str]
"""A method and the path of a route."""


@dataclass(frozen=True)
class Ids:
    """All that somebody else could have guessed of a person's memory."""

    sessions: list[str]
    messages: list[str]
    receipts: list[str]
    entities: Sequence[str] = ()
    model: str = "m"

    def every(self) -> list[str]:
        return [*self.sessions, *self.messages, *self.receipts, *self.entities, STAGED, KEY]


@dataclass(frozen=True)
class Try:
    """How a stranger tries a route that names nothing in its path."""

    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None


def chat(*messages: Json) -> Json:
    return {"model": "m", "messages": list(messages)}


def tries(ids: Ids) -> dict[Method, list[Try]]:
    """The routes without ids in their path; every other way to name something of the person's."""
    resent = chat(user(GREETING), assistant(f"echo: {GREETING}"), user(ASKED))
    named = [Try("", {"x-session-id": session}, chat(user(ASKED))) for session in ids.sessions]
    given = {"content": "Mine.", "session_id": SESSION}
    return {
        ("GET", "/health"): [Try()],
        ("GET", "/health/detailed"): [Try()],
        ("GET", "/metrics"): [Try("", {"authorization": "Bearer scrape"})],
        ("GET", "/openapi.json"): [Try()],
        ("GET", "/docs"): [Try()],
        ("GET", "/"): [Try()],
        ("GET", "/console/config.json"): [Try()],
        ("GET", "/development/certs"): [Try()],
        ("POST", "/development/token"): [Try("", {}, {"name": "p0"})],
        ("GET", "/v1/models"): [Try()],
        ("GET", "/v1/me"): [Try()],
        ("GET", "/v1/usage"): [Try(), Try("?days=90")],
        ("GET", "/v1/keys"): [Try()],
        ("POST", "/v1/keys"): [Try("", {}, {"name": "Mine.", "scopes": ["chat"]})],
        ("POST", "/v1/embeddings"): [Try("", {}, {"model": "m", "input": ASKED})],
        ("GET", "/v1/sessions"): [
            Try(),
            *(Try(f"?after={session_key(session)}") for session in ids.sessions),
        ],
        ("POST", "/v1/messages"): [
            Try("", {}, given),
            Try("", {"idempotency-key": KEY}, given),
        ],
        ("POST", "/v1/chat/completions"): [
            *named,
            Try("", {}, chat(user(ASKED))),
            Try("", {"idempotency-key": KEY}, chat(user(ASKED))),
            Try("", {}, resent),
        ],
        ("POST", "/v1/responses"): [
            *(Try("", one.headers, {"model": "m", "input": ASKED}) for one in named),
            Try("", {}, {"model": "m", "input": ASKED}),
            Try("", {}, {"model": "m", "input": resent["messages"]}),
        ],
        ("POST", "/v1/compress"): [
            Try("", {**one.headers, "x-memory": "read"}, one.body)
            for one in (*named, Try("", {}, resent))
        ],
        ("GET", "/v1/memory/search"): [
            Try(f"?query={word}&session={session}&include_archived=1&k=50")
            for word in (GREETING, ASKED)
            for session in ids.sessions
        ],
        ("POST", "/v1/memory/search"): [
            Try("", {}, {"query": GREETING + ASKED, "k": 50}),
            *(Try("", {}, {"query": GREETING, "session": session}) for session in ids.sessions),
        ],
        ("GET", "/v1/items"): [
            Try("?limit=100"),
            Try("?after=tails-"),
            Try("?after=0-"),
            *(Try(f"?thread_id={session}") for session in ids.sessions),
        ],
        ("POST", "/v1/items"): [
            Try("", {}, {"content": "Mine.", "thread_id": SESSION}),
            Try("", {"idempotency-key": KEY}, {"content": "Mine.", "thread_id": SESSION}),
        ],
        ("GET", "/v1/workspaces"): [Try()],
        ("POST", "/v1/workspaces"): [Try("", {"idempotency-key": KEY}, {"name": "Mine."})],
        ("GET", "/v1/memory/entities"): [
            Try("?limit=100"),
            Try("?known_at=4000000000"),
            *(Try(f"?after={id}") for id in ids.entities),
        ],
        ("POST", "/v1/memory/entities"): [
            Try("", {}, {"kind": "other", "name": "Mine."}),
            Try("", {"idempotency-key": KEY}, {"kind": "other", "name": "Mine."}),
        ],
        ("POST", "/v1/memory/process-session"): [
            Try("", {}, {"session_id": session, "memory_input": GREETING})
            for session in (SESSION, STAGED)
        ],
        ("POST", "/v1/memory/commit-session"): [Try("", {}, {"session_id": STAGED})],
        ("POST", "/v1/memory/process-and-commit"): [
            Try("", {}, {"session_id": STAGED, "memory_input": ASKED})
        ],
        ("GET", "/v1/memory/commits"): [Try(), Try("?after=9")],
        ("POST", "/v1/memory/context"): [
            Try("", {}, {"conversation": GREETING + ASKED, "depth": depth})
            for depth in ("basic", "wide", "deep", "temporal")
        ],
        ("POST", "/v1/memory/orchestrated-search"): [
            Try("", {}, {"conversation": GREETING + ASKED, "k": 50}),
            *(Try("", {}, {"conversation": ASKED, "session": one}) for one in ids.sessions),
        ],
        ("GET", "/v1/memory/status"): [Try()],
        ("GET", "/v1/memory/archive"): [Try(), Try("?after=000000-a")],
        ("GET", "/v1/memory/staging"): [Try()],
        ("POST", "/v1/memory/rebuild-index"): [Try(), Try("?after=0")],
        ("GET", "/v1/memory/export"): [Try(), Try("?format=markdown")],
        ("POST", "/v1/memory/import"): [
            Try("", {}, {**given, "role": "user", "type": "message"}),
            *(Try("", {}, {**given, "role": "user", "id": id}) for id in ids.messages),
        ],
        ("DELETE", "/v1/memory"): [Try()],  # the last: it empties the stranger's own memory
    }


NAMING = {
    ("GET", "/console/{path:path}"): "unknown_url",
    ("PATCH", "/v1/sessions/{session}"): "session_not_found",
    ("POST", "/v1/messages/{id}/restore"): "message_not_found",
    ("DELETE", "/v1/sessions/{session}"): "session_not_found",
    ("GET", "/v1/sessions/{session}/messages"): "session_not_found",
    ("GET", "/v1/messages/{id}"): "message_not_found",
    ("PATCH", "/v1/messages/{id}"): "message_not_found",
    ("DELETE", "/v1/messages/{id}"): "message_not_found",
    ("GET", "/v1/memory/receipts/{id}"): "receipt_not_found",
    ("GET", "/v1/items/{id}"): "ITEM_NOT_FOUND",
    ("GET", "/v1/workspaces/{workspace}"): "workspace_not_found",
    ("PATCH", "/v1/workspaces/{workspace}"): "workspace_not_found",
    ("DELETE", "/v1/workspaces/{workspace}"): "workspace_not_found",
    ("POST", "/v1/workspaces/{workspace}/members"): "workspace_not_found",
    ("PATCH", "/v1/workspaces/{workspace}/members/{member:path}"): "workspace_not_found",
    ("DELETE", "/v1/workspaces/{workspace}/members/{member:path}"): "workspace_not_found",
    ("GET", "/v1/memory/entities/{id}"): "entity_not_found",
    ("PATCH", "/v1/memory/entities/{id}"): "entity_not_found",
    ("DELETE", "/v1/memory/entities/{id}"): "entity_not_found",
    ("GET", "/v1/memory/entities/{id}/versions"): "entity_not_found",
    ("GET", "/v1/memory/entities/{id}/versions/{number}"): "entity_not_found",
    ("GET", "/v1/memory/entities/{id}/diff"): "entity_not_found",
    ("GET", "/v1/memory/entities/{id}/blame"): "entity_not_found",
    ("GET", "/v1/memory/staging/{session}"): "staging_not_found",
    ("DELETE", "/v1/memory/staging/{session}"): "staging_not_found",
    ("DELETE", "/v1/memory/staging/{session}/operations/{operation}"): "staging_not_found",
    ("POST", "/v1/memory/commits/{sequence}/revert"): "commit_not_found",
    ("GET", "/v1/models/{id:path}"): "model_not_found",
    ("PATCH", "/v1/keys/{id}"): "key_not_found",
    ("DELETE", "/v1/keys/{id}"): "key_not_found",
}
"""The routes with an id in their path, each tried with all `Ids`, and what they answer then."""

BODIES: Mapping[Method, Json] = {
    ("PATCH", "messages"): {"content": "Mine."},
    ("PATCH", "keys"): {"name": "Mine."},
    ("PATCH", "sessions"): {"title": "Mine."},
    ("PATCH", "memory"): {"version": 1, "name": "Mine."},
    ("POST", "workspaces"): {"member": "key:p39", "role": "owner"},
    ("PATCH", "workspaces"): {"role": "owner"},
}
"""What is sent to those of them that take a body, by the first word of their path."""


def built() -> Starlette:
    named: dict[str, Any] = {name.lower(): value for name, value in SETTINGS.items()}
    return services.build(Settings(_env_file=None, **named))


def routes(app: Starlette) -> set[Method]:
    found = [route for route in app.routes if isinstance(route, Route)]
    assert len(found) == len(app.routes)
    return {(method, one.path) for one in found for method in (one.methods or set()) - {"HEAD"}}


def admins_routes(app: Starlette) -> set[Method]:
    """They answer nobody else, whatever is asked for."""
    found = {one for one in routes(app) if one[1].startswith("/v1/admin/")}
    assert len(found) >= 16
    return found


def paths(template: str, ids: list[str]) -> list[str]:
    start, _, rest = template.partition("{")
    return [f"{start}{id}{rest.partition('}')[2]}" for id in ids]


def body_of(method: str, path: str) -> Json | None:
    return BODIES.get((method, path.removeprefix("/v1/").partition("/")[0]))


def never_made(id: str) -> str:
    """Looks like `id`, made in the same millisecond, and nobody ever had it."""
    return id[:-4] + ("0000" if id[-4:] != "0000" else "1111")


def test_every_route_is_tried() -> None:
    """Give a new route its tries above, or, if its path has an id in it, its place in `NAMING`."""
    app = built()
    tried = set(tries(Ids([], [], [])))
    theirs = routes(app) - admins_routes(app)
    assert {one for one in theirs if "{" in one[1]} == set(NAMING)
    assert {one for one in theirs if "{" not in one[1]} == tried


@pytest.fixture(scope="module", params=KINDS)
def instances(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, running_upstream: Any
) -> Iterator[list[Service]]:
    """Two instances of the service over one store, of each kind."""
    settings = {**SETTINGS, "UPSTREAM_BASE": running_upstream.base_url}
    if request.param == "firestore":
        settings["STORE_URL"] = f"firestore://test-{uuid.uuid4().hex[:20]}"
        settings["FIRESTORE_EMULATOR_HOST"] = request.getfixturevalue("emulator").host
    folder = tmp_path_factory.mktemp(request.param)
    with serving(folder, **settings) as one, serving(folder, **settings) as another:
        yield [one, another]


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter(PEOPLE)


@pytest.fixture
def at(instances: list[Service], names: Iterator[str]) -> Iterator[Callable[[int, str], Person]]:
    """A person by name, at the first or the second instance."""
    clients = [
        httpx.Client(base_url=one.url, timeout=PATIENCE_SECONDS, trust_env=False)
        for one in instances
    ]
    yield lambda number, name: Person(clients[number], {"x-api-key": f"sk-{name}"})
    for client in clients:
        client.close()


def remembers(person: Person, upstream: LoopbackUpstream) -> Ids:
    """The canary in a segment, a session, an answer, a kept answer, a note, a prompt, an entity and
    what is staged of a talk."""
    upstream.default = obliging
    person.keeps(*UNRELATED, TOLD, *many(UNRELATED), session="other")
    person.says(user(GREETING))
    person.says(user(TOLD), session=SESSION)
    upstream.queue(Answer.json(completion(f"It is {CANARY}.")))
    answered = person.ask(user(ASKED), session=SESSION, key=KEY).raise_for_status()
    assert CANARY in answered.text
    person.keeps(TOLD, session="notes")
    recalled = person.ask(user(ASKED)).raise_for_status()
    assert recalled.headers["x-memory-status"] == "hit"
    assert CANARY in upstream.requests[-1].body.decode()
    sessions = [one["id"] for one in person.sessions()]
    told = [one for session in sessions for one in person.told(session)]
    receipts = [one["receipt_id"] for one in told if "receipt_id" in one]
    assert len(receipts) >= 3
    return Ids(sessions, [one["id"] for one in told], receipts, [knows(person, upstream)])


def knows(person: Person, upstream: LoopbackUpstream) -> str:
    """The id of an entity; another one is staged."""
    statements = [{"text": TOLD}]
    boat = {"kind": "other", "name": CANARY, "statements": statements}
    path, headers = "/v1/memory/entities", {**person.headers, "idempotency-key": KEY}
    made = person.http.post(path, headers=headers, json=boat).raise_for_status().json()
    staged = {"op": "create", "kind": "other", "name": "Boat", "statements": statements}
    upstream.queue(Answer.json(completion(json.dumps({"operations": [staged]}))))
    talk = {"session_id": STAGED, "memory_input": TOLD}
    answer = person.http.post("/v1/memory/process-session", headers=person.headers, json=talk)
    assert CANARY in answer.raise_for_status().text
    return str(made["id"])


def obliging(request: Recorded) -> Answer:
    """A model that finds nothing to record, and says what it hears."""
    if b'"response_format"' in request.body:
        return Answer.json(completion('{"operations": []}'))
    return echo(request)


def many(notes: Sequence[str]) -> list[str]:
    """More notes than a tail keeps: the first of them go to a segment, in its first version."""
    return [f"{note} ({n})" for n in range(4) for note in notes]


def call(person: Person, method: str, path: str, one: Try = Try()) -> httpx.Response:
    headers = {**person.headers, **one.headers}
    body = one.body or body_of(method, path)
    return person.http.request(method, path + one.query, headers=headers, json=body)


def test_nothing_of_one_person_reaches_another_on_any_route(
    instances: list[Service],
    at: Callable[[int, str], Person],
    names: Iterator[str],
    upstream: LoopbackUpstream,
) -> None:
    first, second = next(names), next(names)
    ids = remembers(at(0, first), upstream)
    before = [at(0, first).told(session) for session in ids.sessions]
    upstream.requests.clear()
    for number in (0, 1):
        stranger = at(number, second)
        stranger.keeps(*UNRELATED)
        for (method, path), attempts in tries(ids).items():
            for attempt in attempts:
                answer = call(stranger, method, path, attempt)
                told = answer.status_code in {200, 201} or path == "/health/detailed"
                assert told, (path, answer.text)
                assert CANARY not in answer.text
                assert CANARY not in str(answer.headers)
                own = answer.headers.get("x-session-id")
                assert own not in ids.sessions or own == attempt.headers.get("x-session-id")
        for method, path in NAMING:
            for tried in paths(path, ids.every()):
                assert CANARY not in call(stranger, method, tried).text
    assert len(upstream.requests) >= 2 * len(ids.sessions)
    assert CANARY not in str([one.body for one in upstream.requests])
    assert CANARY not in "".join(one.log for one in instances)
    assert [at(0, first).told(session) for session in ids.sessions] == before


def test_a_stranger_is_no_admin_whatever_is_asked_for(
    at: Callable[[int, str], Person], names: Iterator[str], upstream: LoopbackUpstream
) -> None:
    first, second = next(names), next(names)
    ids = remembers(at(0, first), upstream)
    stranger = at(0, second)
    for method, path in admins_routes(built()):
        for tried in paths(path, ids.every()) if "{" in path else [path]:
            answer = call(stranger, method, tried)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_required")


@pytest.mark.parametrize("route", NAMING, ids=" ".join)
def test_anothers_id_is_answered_as_one_that_never_was(
    at: Callable[[int, str], Person],
    names: Iterator[str],
    upstream: LoopbackUpstream,
    route: Method,
) -> None:
    first, second = next(names), next(names)
    ids = remembers(at(0, first), upstream)
    stranger = at(1, second)
    stranger.keeps(*UNRELATED, session="mine")
    method, path = route
    for id in ids.every():
        (theirs,), (never,) = paths(path, [id]), paths(path, [never_made(id)])
        found, unknown = call(stranger, method, theirs), call(stranger, method, never)
        assert (found.status_code, unknown.status_code) == (404, 404)
        assert found.json()["error"]["code"] == NAMING[route]
        assert found.content == unknown.content
        assert set(found.headers) == set(unknown.headers)


def test_after_the_erasure_no_instance_and_no_cache_returns_anything(
    instances: list[Service],
    at: Callable[[int, str], Person],
    names: Iterator[str],
    upstream: LoopbackUpstream,
) -> None:
    name = next(names)
    ids = remembers(at(0, name), upstream)
    at(1, name).says(user(ASKED))
    assert CANARY in upstream.requests[-1].body.decode()  # the second instance is warm
    erased = call(at(0, name), "DELETE", "/v1/memory").raise_for_status().json()
    assert erased["documents"] > 0
    upstream.requests.clear()
    for number in (1, 0):
        person = at(number, name)
        for method, path in NAMING:
            for tried in paths(path, ids.every()):
                assert call(person, method, tried).status_code == 404
        assert person.sessions() == []
        for (method, path), attempts in tries(ids).items():
            for attempt in attempts:
                assert CANARY not in call(person, method, path, attempt).text
        call(person, "DELETE", "/v1/memory").raise_for_status()
    assert upstream.requests
    assert CANARY not in str([one.body for one in upstream.requests])
    assert CANARY not in "".join(one.log for one in instances)


@pytest.fixture(params=KINDS)
async def metered(
    request: pytest.FixtureRequest, tmp_path: Path, project: str
) -> AsyncIterator[MeteredDocuments]:
    opened = opener(request, request.param, tmp_path, project)()
    yield opened
    await opened.close()


@pytest.fixture
async def counted(
    metered: MeteredDocuments, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The service in this process, on a store whose operations are counted."""
    monkeypatch.setattr(parts, "documents_from", lambda _: metered)
    transport = httpx.ASGITransport(app=built())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def told(client: httpx.AsyncClient, key: str) -> Ids:
    """Sessions, messages and receipts of somebody with one segment and three open tails."""
    headers = {"x-api-key": key}
    for session in ("a", "b", "c", "d", "e"):
        named = {**headers, "x-session-id": f"{session}-of-{key}"}
        answer = await client.post("/v1/chat/completions", headers=named, json=chat(user(TOLD)))
        answer.raise_for_status()
    sessions = (await client.get("/v1/sessions", headers=headers)).json()["data"]
    names = [one["id"] for one in sessions]
    found = [await client.get(f"/v1/sessions/{name}/messages", headers=headers) for name in names]
    messages = [one for answer in found for one in answer.json()["data"]]
    receipts = [one["receipt_id"] for one in messages if "receipt_id" in one]
    return Ids(names, [one["id"] for one in messages], receipts)


async def test_anothers_id_costs_the_store_what_one_that_never_was_does(
    counted: httpx.AsyncClient, metered: MeteredDocuments
) -> None:
    ids = await told(counted, "sk-p0")
    await told(counted, "sk-p1")
    stranger = {"x-api-key": "sk-p1"}
    await counted.get("/v1/models", headers=stranger)
    for (method, path), id in itertools.product(NAMING, ids.every()):
        costs = []
        for tried in paths(path, [id, never_made(id)]):
            metered.reset()
            answer = await counted.request(
                method, tried, headers=stranger, json=body_of(method, tried)
            )
            assert answer.status_code == 404
            costs.append(metered.reset())
        assert costs[0] == costs[1], path
        assert costs[0].deletes == 0
        assert costs[0].writes in {0, LIMITER_WRITES}
