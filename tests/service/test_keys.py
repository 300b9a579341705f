"""API keys over HTTP: made, used by the official client, limited, revoked; never shown twice."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, OpenAI, PermissionDeniedError, RateLimitError

from gateway.accounts.allowance import NOTHING_SAID
from gateway.accounts.key import ALL_SCOPES, SECRET
from gateway.accounts.keys import MOST_KEYS, Keys
from gateway.accounts.workspace import PERSONAL
from gateway.documents.sqlite import SqliteDocuments
from support.certificates import AUDIENCE, CertificateServer
from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream, completion, usage

pytestmark = pytest.mark.service

Json = dict[str, Any]

DATABASE = "keys.db"
OPS = {"x-api-key": "sk-ops"}
ALL = ["chat", "memory:read", "memory:write", "admin"]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
NEVER_MADE = "key_" + "a" * 26
PROMPT_PRICE, COMPLETION_PRICE = 2.0, 8.0


@pytest.fixture(scope="module")
def running(
    folder: Path, running_upstream: LoopbackUpstream, certificates: CertificateServer
) -> Iterator[Service]:
    settings = {
        "API_KEYS": "ops:sk-ops",
        "ADMIN_SUBJECTS": "key:ops",
        "STORE_URL": f"sqlite:///{folder / DATABASE}",
        "UPSTREAM_BASE": running_upstream.base_url,
        "GOOGLE_CLIENT_ID": AUDIENCE,
        "GOOGLE_CERTS_URL": certificates.url,
        "PRICE_PROMPT_PER_MILLION": str(PROMPT_PRICE),
        "PRICE_COMPLETION_PER_MILLION": str(COMPLETION_PRICE),
    }
    with serving(folder, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def client(running: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=20, trust_env=False) as opened:
        yield opened


@dataclass(frozen=True)
class Somebody:
    http: httpx.Client
    headers: dict[str, str]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(method, path, json=body, headers={**self.headers, **headers})

    def made(self, **fields: Any) -> Json:
        body = {"name": "an app", "scopes": ["chat"], **fields}
        answer = self.call("POST", "/v1/keys", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def with_key(self, **fields: Any) -> "Somebody":
        return Somebody(self.http, {"x-api-key": self.made(**fields)["key"]})

    def listed(self) -> list[Json]:
        return list(self.call("GET", "/v1/keys").raise_for_status().json()["data"])

    def chats(self, **headers: str) -> httpx.Response:
        return self.call("POST", "/v1/chat/completions", CHAT, **headers)

    def me(self) -> Json:
        return dict(self.call("GET", "/v1/me").raise_for_status().json())


@pytest.fixture
def people(client: httpx.Client, sign_in: Callable[[], str]) -> Callable[[], Somebody]:
    return lambda: Somebody(client, {"authorization": f"Bearer {sign_in()}"})


@pytest.fixture
def alice(people: Callable[[], Somebody]) -> Somebody:
    return people()


@pytest.fixture
def ops(client: httpx.Client) -> Somebody:
    return Somebody(client, OPS)


def refused(
    answer: httpx.Response, status: int, code: str | None, param: str | None = None
) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)


# a key's life


def test_a_key_is_made_used_listed_and_revoked(
    running: Service, folder: Path, alice: Somebody, upstream: LoopbackUpstream
) -> None:
    made = alice.made(name="kitchen", scopes=["memory:read", "chat", "chat"])
    secret = made.pop("key")
    assert SECRET.fullmatch(secret)
    assert made["prefix"] == secret[:8]
    assert (made["scopes"], made["workspace"]) == (["chat", "memory:read"], "personal")
    assert alice.listed() == [made]
    assert made["last_used_at"] is None

    with OpenAI(base_url=f"{running.url}/v1", api_key=secret, max_retries=0) as client:
        said = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}]
        )
        assert said.choices[0].message.content == "echo: Hello"
        (used,) = alice.listed()
        assert 0 <= time.time() - used["last_used_at"] < 60

        deleted = alice.call("DELETE", f"/v1/keys/{made['id']}")
        assert deleted.json() == {"id": made["id"], "object": "api_key.deleted", "deleted": True}
        with pytest.raises(AuthenticationError):
            client.models.list()
    (revoked,) = alice.listed()
    assert revoked["revoked_at"] >= revoked["last_used_at"]
    again = alice.call("DELETE", f"/v1/keys/{made['id']}")
    assert again.json() == deleted.json()
    assert alice.listed() == [revoked]

    everything = b"".join(one.read_bytes() for one in folder.glob(f"{DATABASE}*"))
    assert secret.encode() not in everything
    assert secret not in running.log
    assert secret[8:] not in running.log


def test_what_one_remembers_a_key_of_theirs_finds(
    alice: Somebody, people: Callable[[], Somebody], upstream: LoopbackUpstream
) -> None:
    note = {"content": "The boat is called Zyxonite."}
    alice.call("POST", "/v1/messages", note).raise_for_status()
    path = "/v1/memory/search?query=boat"
    reader = alice.with_key(scopes=["memory:read"])
    assert "Zyxonite" in reader.call("GET", path).text
    assert "Zyxonite" not in people().with_key(scopes=["memory:read"]).call("GET", path).text
    refused(reader.call("POST", "/v1/messages", note), 403, "insufficient_scope")
    assert alice.me()["subject"] == reader.me()["subject"]
    assert reader.me()["scopes"] == ["memory:read"]


def test_the_official_client_is_told_of_a_missing_scope(running: Service, alice: Somebody) -> None:
    key = alice.made(scopes=["memory:read"])["key"]
    with (
        OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(PermissionDeniedError, match="lacks the scope chat"),
    ):
        client.models.list()


def test_a_key_that_has_ended_is_refused(
    client: httpx.Client, folder: Path, alice: Somebody
) -> None:
    secret = asyncio.run(ended_an_hour_ago(folder / DATABASE, alice.me()["subject"]))
    refused(client.get("/v1/me", headers={"x-api-key": secret}), 401, "invalid_api_key")
    (listed,) = alice.listed()
    assert listed["expires_at"] < time.time()
    past = {"name": "n", "scopes": ["chat"], "expires_at": "2020-01-01T00:00:00Z"}
    refused(alice.call("POST", "/v1/keys", past), 400, None, "expires_at")
    ends = alice.made(expires_at="2099-06-01T12:00:00+02:00")["expires_at"]
    assert ends == 4_083_991_200.0


async def ended_an_hour_ago(file: Path, subject: str) -> str:
    documents, then = SqliteDocuments(str(file)), time.time() - 7_200
    keys = Keys(documents, lambda: then, Random(7))
    _, secret = await keys.create(
        subject, PERSONAL, "old", ALL_SCOPES, then + 3_600, NOTHING_SAID, None
    )
    await documents.close()
    return secret


def test_a_guessed_key_is_nobodys(client: httpx.Client) -> None:
    for guess in ("mk_" + "a" * 43, "mk_", "mk_" + "a" * 44):
        for headers in ({"x-api-key": guess}, {"authorization": f"Bearer {guess}"}):
            refused(client.get("/v1/me", headers=headers), 401, "invalid_api_key")


def test_anothers_key_is_answered_as_one_that_never_was(
    alice: Somebody, people: Callable[[], Somebody]
) -> None:
    theirs, stranger = alice.made(), people()
    for method, body in (("PATCH", {"name": "Mine."}), ("DELETE", None)):
        found = stranger.call(method, f"/v1/keys/{theirs['id']}", body)
        never = stranger.call(method, f"/v1/keys/{NEVER_MADE}", body)
        refused(found, 404, "key_not_found")
        assert found.content == never.content
    assert stranger.listed() == []
    assert [(one["id"], one["name"], one["revoked_at"]) for one in alice.listed()] == [
        (theirs["id"], "an app", None)
    ]


def test_keys_made_at_once_are_all_there(alice: Somebody) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: alice.made(name=f"app {n}"), range(16)))
    assert len({one["key"] for one in made}) == 16
    assert {one["id"] for one in alice.listed()} == {one["id"] for one in made}


def test_a_person_has_a_bounded_number(folder: Path, alice: Somebody) -> None:
    asyncio.run(many(folder / DATABASE, alice.me()["subject"]))
    body = {"name": "one more", "scopes": ["chat"]}
    refused(alice.call("POST", "/v1/keys", body), 409, "too_many_keys")
    assert len(alice.listed()) == MOST_KEYS


async def many(file: Path, subject: str) -> None:
    documents = SqliteDocuments(str(file))
    keys = Keys(documents, time.time, Random(11))
    for n in range(MOST_KEYS):
        await keys.create(subject, PERSONAL, str(n), ALL_SCOPES, None, NOTHING_SAID, None)
    await documents.close()


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "chat"}, "scopes"),
        ({"scopes": ["chat", "everything"]}, "scopes[1]"),
        ({"scopes": ["chat"] * 5}, "scopes"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "1999-01-01T00:00:00Z"}, "expires_at"),
        ({"workspace": 7}, "workspace"),
        ({"limits": {"requests_per_minute": -1}}, "limits.requests_per_minute"),
        ({"limits": {"requests_per_minute": "5"}}, "limits.requests_per_minute"),
        ({"limits": {"requests_per_minute": 10**13}}, "limits.requests_per_minute"),
        ({"limits": {"requests_per_hour": 1}}, "limits.requests_per_hour"),
        ({"budgets": {"daily_tokens": True}}, "budgets.daily_tokens"),
        ({"budgets": {"daily_cost_usd": -0.1}}, "budgets.daily_cost_usd"),
        ({"budgets": {"daily_cost_usd": 1e300}}, "budgets.daily_cost_usd"),
        ({"key": "mk_mine"}, "key"),
    ],
)
def test_a_malformed_key_is_a_400(alice: Somebody, changes: Json, param: str) -> None:
    body = {"name": "n", "scopes": ["chat"], **changes}
    refused(alice.call("POST", "/v1/keys", body), 400, None, param)
    assert alice.listed() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"mk"', b'{"name": "n"}', b"\xff"])
def test_a_body_that_is_no_key_is_a_400(alice: Somebody, body: bytes) -> None:
    answer = alice.http.post("/v1/keys", content=body, headers=alice.headers)
    assert answer.status_code == 400


# what a key may hand on


def test_a_key_makes_no_key_that_may_more(alice: Somebody) -> None:
    maker = alice.with_key(scopes=["chat", "admin"], expires_at="2090-01-01T00:00:00Z")
    for changes, code, param in (
        ({"scopes": ALL}, "insufficient_scope", "scopes"),
        ({"scopes": ["chat"]}, "key_outlives", "expires_at"),
        ({"expires_at": "2091-01-01T00:00:00Z"}, "key_outlives", "expires_at"),
        ({"expires_at": "2089-01-01T00:00:00Z", "workspace": "ws_" + "a" * 26}, "key_bound", None),
    ):
        body = {"name": "n", "scopes": ["chat"], **changes}
        refused(maker.call("POST", "/v1/keys", body), 403, code, param or "workspace")
    less = maker.made(scopes=["chat"], expires_at="2090-01-01T00:00:00Z")
    assert [one["id"] for one in maker.listed() if one["created_by"]] == [less["id"]]


def test_a_limited_key_manages_no_keys(alice: Somebody) -> None:
    made = alice.made(scopes=ALL, limits={"requests_per_minute": 50})
    limited = Somebody(alice.http, {"x-api-key": made["key"]})
    body = {"name": "n", "scopes": ["chat"]}
    refused(limited.call("POST", "/v1/keys", body), 403, "key_limited")
    patch = {"limits": None}
    refused(limited.call("PATCH", f"/v1/keys/{made['id']}", patch), 403, "key_limited")


def test_a_key_sees_and_revokes_none_that_is_more_than_itself(alice: Somebody) -> None:
    more = alice.made(scopes=ALL)
    less = Somebody(alice.http, {"x-api-key": alice.made(scopes=["chat", "admin"])["key"]})
    assert more["id"] not in [one["id"] for one in less.listed()]
    refused(less.call("DELETE", f"/v1/keys/{more['id']}"), 404, "key_not_found")
    assert len(alice.listed()) == 2


def test_a_workspaces_key_reaches_that_workspace_alone(
    alice: Somebody, people: Callable[[], Somebody]
) -> None:
    made = alice.call("POST", "/v1/workspaces", {"name": "Household"}).json()["id"]
    other = alice.call("POST", "/v1/workspaces", {"name": "Office"}).json()["id"]
    body = {"name": "n", "scopes": ALL, "workspace": made}
    refused(people().call("POST", "/v1/keys", body), 404, "workspace_not_found")
    key = alice.with_key(scopes=ALL, workspace=made)
    assert key.me()["workspace"] == made
    key.call("POST", "/v1/messages", {"content": "The hall is green."}).raise_for_status()
    search = "/v1/memory/search?query=hall"
    assert "green" not in alice.call("GET", search).text
    assert "green" in alice.call("GET", search, **{"x-workspace-id": made}).text
    for elsewhere in ("personal", other):
        answer = key.call("GET", search, **{"x-workspace-id": elsewhere})
        refused(answer, 404, "workspace_not_found")
    listed = key.call("GET", "/v1/workspaces").json()["data"]
    assert [one["id"] for one in listed] == [made]
    refused(key.call("DELETE", f"/v1/workspaces/{other}"), 404, "workspace_not_found")
    refused(key.call("POST", "/v1/workspaces", {"name": "x"}), 403, "key_bound")
    assert {one["workspace"] for one in key.listed()} == {made}


def test_an_erasure_leaves_the_keys(alice: Somebody, upstream: LoopbackUpstream) -> None:
    key = alice.with_key(scopes=ALL)
    alice.call("DELETE", "/v1/memory").raise_for_status()
    key.chats().raise_for_status()
    assert len(alice.listed()) == 1


# limits and budgets


def test_a_keys_own_limit_is_refused_while_its_person_goes_on(
    alice: Somebody, upstream: LoopbackUpstream
) -> None:
    key = alice.with_key(limits={"requests_per_minute": 2})
    remaining = [key.chats().headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert remaining == ["1", "0"]
    answer = key.chats()
    refused(answer, 429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) >= 1
    alice.chats().raise_for_status()


def test_a_spent_budget_is_insufficient_quota(
    running: Service, alice: Somebody, upstream: LoopbackUpstream
) -> None:
    """100 tokens of an answer may cost 800 micro-dollars, the 18 that came cost 78."""
    made = alice.made(budgets={"daily_cost_usd": 0.0009})
    key = Somebody(alice.http, {"x-api-key": made["key"]})
    first = key.chats(**{"x-memory": "off"})
    assert first.headers["x-budget-warning"].startswith("daily_cost_usd 9")
    with OpenAI(base_url=f"{running.url}/v1", api_key=made["key"], max_retries=0) as client:
        with pytest.raises(RateLimitError) as caught:
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "Hello"}],
                max_completion_tokens=110,
                extra_headers={"x-memory": "off"},
            )
        assert caught.value.code == caught.value.type == "insufficient_quota"
    patched = alice.call("PATCH", f"/v1/keys/{made['id']}", {"budgets": {"daily_cost_usd": 1.0}})
    assert patched.json()["budgets"]["daily_cost_usd"] == 1.0
    assert "x-budget-warning" not in key.chats(**{"x-memory": "off"}).raise_for_status().headers


def test_a_patch_changes_what_it_names(alice: Somebody) -> None:
    made = alice.made(limits={"requests_per_minute": 5}, budgets={"daily_tokens": 7})
    path = f"/v1/keys/{made['id']}"
    patch = {"name": " new ", "limits": {"tokens_per_minute": 9}}
    told = alice.call("PATCH", path, patch).raise_for_status().json()
    assert told["name"] == "new"
    assert told["limits"] == {"requests_per_minute": 5, "tokens_per_minute": 9}
    assert told["budgets"]["daily_tokens"] == 7
    told = alice.call("PATCH", path, {"limits": None, "budgets": {"daily_tokens": None}}).json()
    assert set({**told["limits"], **told["budgets"]}.values()) == {None}
    assert (told["name"], "key" in told) == ("new", False)
    for wrong in ({"scopes": ALL}, {"workspace": "personal"}, {"expires_at": None}):
        refused(alice.call("PATCH", path, wrong), 400, None, next(iter(wrong)))


# usage


def test_usage_tells_what_was_used_and_what_it_cost(
    alice: Somebody, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.json({**completion("Fine."), "usage": usage(30, 12)}))
    receipt = alice.chats().headers["x-memory-receipt"]
    alice.with_key().chats().raise_for_status()
    used = alice.call("GET", "/v1/usage?days=2").raise_for_status().json()
    assert used["object"] == "usage"
    assert len(used["days"]) == 2
    today, totals = used["days"][1], used["totals"]
    money = alice.call("GET", f"/v1/memory/receipts/{receipt}").json()["money_usd"]
    first = money["after"] + money["completion"]
    assert first == pytest.approx((30 * PROMPT_PRICE + 12 * COMPLETION_PRICE) / 1e6)
    second = (11 * PROMPT_PRICE + 7 * COMPLETION_PRICE) / 1e6
    assert (today["answers"], today["completion_tokens"], today["requests"]) == (2, 19, 3)
    assert today["tokens_before"] - today["tokens_after"] == today["tokens_saved"]
    assert today["cost_usd"] == pytest.approx(first + second)
    assert {name: today[name] for name in totals} == totals
    assert set(used["limits"]) == {
        "requests_per_minute",
        "tokens_per_minute",
        "daily_token_budget",
        "monthly_token_budget",
        "daily_cost_budget_usd",
        "monthly_cost_budget_usd",
    }


def test_an_answer_with_memory_is_counted_as_one(
    alice: Somebody, upstream: LoopbackUpstream
) -> None:
    note = {"content": "My boat is called Zyxonite and it lies in Lisbon."}
    alice.call("POST", "/v1/messages", note).raise_for_status()
    asked = {"model": "m", "messages": [{"role": "user", "content": "Where does my boat lie?"}]}
    for body in (asked, {**asked, "stream": True}):
        answer = alice.call("POST", "/v1/chat/completions", body).raise_for_status()
        assert answer.headers["x-memory-status"] == "hit"
    upstream.queue(Answer(status=500, body=b"{}"))
    assert alice.call("POST", "/v1/chat/completions", asked).status_code == 500
    (today,) = alice.call("GET", "/v1/usage?days=1").json()["days"]
    assert (today["answers"], today["answers_with_memory"]) == (2, 2)


def test_somebody_new_used_nothing(alice: Somebody) -> None:
    used = alice.call("GET", "/v1/usage").raise_for_status().json()
    assert len(used["days"]) == 30
    assert set(used["totals"].values()) == {0, None}
    assert len(alice.call("GET", "/v1/usage?days=90").json()["days"]) == 90


@pytest.mark.parametrize("days", ["0", "91", "-1", "x", "1.5", "", "٣"])
def test_days_are_a_number_from_1_to_90(alice: Somebody, days: str) -> None:
    refused(alice.call("GET", f"/v1/usage?days={days}"), 400, None, "days")


# admins


def test_an_admin_limits_an_identity(
    ops: Somebody, alice: Somebody, upstream: LoopbackUpstream
) -> None:
    assert (ops.me()["admin"], alice.me()["admin"]) == (True, False)
    path = f"/v1/admin/limits/{alice.me()['subject']}"
    said = {"limits": {"requests_per_minute": 2}, "budgets": {"monthly_cost_usd": 5.5}}
    told = ops.call("PUT", path, said).raise_for_status().json()
    assert told["object"] == "identity.limits"
    assert ops.call("GET", path).json() == told
    assert ops.call("GET", f"/v1/admin/limits/{told['id']}").json() == told
    assert [alice.chats().status_code for _ in range(3)] == [200, 200, 429]
    left = alice.call("GET", "/v1/usage?days=1").json()["limits"]
    assert left["requests_per_minute"] == {"limit": 2, "remaining": 0}
    assert left["monthly_cost_budget_usd"]["limit"] == 5.5
    assert ops.call("DELETE", path).json()["deleted"] is True
    refused(ops.call("DELETE", path), 404, "limits_not_found")
    refused(ops.call("GET", "/v1/admin/limits/nobody"), 404, "identity_not_found")
    wrong = {"limits": {"requests_per_minute": -1}}
    refused(ops.call("PUT", path, wrong), 400, None, "limits.requests_per_minute")


def test_an_admin_revokes_anybodys_key(ops: Somebody, alice: Somebody) -> None:
    made = alice.made()
    key = Somebody(alice.http, {"x-api-key": made["key"]})
    subject = key.me()["subject"]
    (listed,) = ops.call("GET", f"/v1/admin/keys?subject={subject}").json()["data"]
    assert (listed["id"], listed["subject"], "key" in listed) == (made["id"], subject, False)
    everybodys, after = [], ""
    while True:
        page = ops.call("GET", f"/v1/admin/keys?limit=3{after}").raise_for_status().json()
        everybodys += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert made["id"] in everybodys
    assert len(set(everybodys)) == len(everybodys)
    assert ops.call("DELETE", f"/v1/admin/keys/{made['id']}").json()["deleted"] is True
    refused(key.call("GET", "/v1/me"), 401, "invalid_api_key")
    refused(ops.call("DELETE", f"/v1/admin/keys/{NEVER_MADE}"), 404, "key_not_found")
    for wrong in ("limit=0", "limit=101", "after=x"):
        assert ops.call("GET", f"/v1/admin/keys?{wrong}").status_code == 400


def test_a_key_is_an_admins_with_the_scope_alone(ops: Somebody, alice: Somebody) -> None:
    path = "/v1/admin/keys"
    assert ops.with_key(scopes=["admin"]).call("GET", path).status_code == 200
    refused(ops.with_key(scopes=["chat"]).call("GET", path), 403, "insufficient_scope")
    refused(alice.with_key(scopes=ALL).call("GET", path), 403, "admin_required")


def test_every_act_of_an_admin_leaves_a_line(ops: Somebody, alice: Somebody, folder: Path) -> None:
    made = alice.made()
    path = f"/v1/admin/limits/{alice.me()['subject']}"
    before = asyncio.run(lines(folder / DATABASE))
    ops.call("PUT", path, {"budgets": {"daily_tokens": 9}}).raise_for_status()
    ops.call("GET", path).raise_for_status()
    ops.call("DELETE", path).raise_for_status()
    ops.call("GET", "/v1/admin/keys").raise_for_status()
    ops.call("DELETE", f"/v1/admin/keys/{made['id']}").raise_for_status()
    alice.call("GET", "/v1/admin/keys")
    after = asyncio.run(lines(folder / DATABASE))
    acts = ["limits.set", "limits.read", "limits.delete", "keys.list", "keys.delete"]
    assert after[len(before) :] == [("key:ops", act) for act in acts]


async def lines(file: Path) -> list[tuple[str, str]]:
    documents = SqliteDocuments(str(file))
    found = await documents.list("audit", limit=1_000)
    await documents.close()
    return [(one.fields["actor"], one.fields["act"]) for one in found]
