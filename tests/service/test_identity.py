"""Who is let in and who is not, by the running service."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.certificates import (
    AUDIENCE,
    SigningKey,
    make_claims,
    make_key,
    make_token,
    make_unsigned_token,
)
from support.service import serving
from support.upstream import LoopbackUpstream, closed_port

pytestmark = pytest.mark.service

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
LONG_AGO, FAR_FUTURE = 1_700_000_000, 4_000_000_000
SIGNED_IN_ONLY = [
    ("POST", CHAT),
    ("POST", "/v1/compress"),
    ("POST", "/v1/messages"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/talk/messages"),
    ("DELETE", "/v1/sessions/talk"),
    ("GET", "/v1/memory/receipts/r1"),
]


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


@pytest.mark.parametrize(("method", "path"), SIGNED_IN_ONLY)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic c2stYWxpY2U6"},
        {"authorization": "Bearer"},
        bearer("sk-nobody"),
        bearer("sk-alice2"),
        {"x-api-key": "sk-nobody"},
        {"x-api-key": "alice:sk-alice"},
        {**bearer("sk-alice"), "x-api-key": "sk-nobody"},
    ],
    ids=str,
)
def test_without_a_good_credential_every_door_is_shut(
    http: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = http.request(method, path, json=BODY, headers=headers)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


def test_a_stranger_costs_no_upstream_call(http: httpx.Client, upstream: LoopbackUpstream) -> None:
    assert http.post(CHAT, json=BODY, headers=bearer("sk-nobody")).status_code == 401
    assert upstream.requests == []


def test_health_needs_no_credential(http: httpx.Client) -> None:
    assert http.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
def test_an_api_key_is_taken_in_either_header(
    http: httpx.Client, upstream: LoopbackUpstream, name: str
) -> None:
    value = "sk-alice" if name == "x-api-key" else "bearer sk-alice"
    assert http.post(CHAT, json=BODY, headers={name: value}).status_code == 200


def test_a_google_id_token_is_taken(
    http: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    assert http.post(CHAT, json=BODY, headers=person).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": LONG_AGO + 1}, "expired"),
        ({"iat": FAR_FUTURE - 1}, "not valid yet"),
        ({"aud": "somebody-elses.apps.googleusercontent.com"}, "another audience"),
        ({"iss": "https://accounts.example.test"}, "not issued by Google"),
        ({"sub": None}, "ID token"),
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    http: httpx.Client, signing_key: SigningKey, changes: dict[str, Any], message: str
) -> None:
    claims: dict[str, Any] = {"iat": LONG_AGO, "exp": FAR_FUTURE, **changes}
    token = make_token(signing_key, make_claims(**claims))
    answer = http.post(CHAT, json=BODY, headers=bearer(token))
    assert answer.status_code == 401
    assert message in answer.json()["error"]["message"]


def test_a_token_of_another_signature_is_refused(
    http: httpx.Client, signing_key: SigningKey
) -> None:
    claims = make_claims(iat=LONG_AGO, exp=FAR_FUTURE)
    forged = [
        make_token(make_key(signing_key.kid), claims),
        make_token(make_key("unknown"), claims),
        make_unsigned_token(signing_key.kid, claims),
        make_token(signing_key, claims)[:-4] + "AAAA",
    ]
    answers = [http.post(CHAT, json=BODY, headers=bearer(token)) for token in forged]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401]


def test_what_one_person_said_is_not_there_for_another(
    http: httpx.Client, upstream: LoopbackUpstream, sign_in: Callable[[], str]
) -> None:
    ada, eve = bearer(sign_in()), bearer(sign_in())
    told = http.post(CHAT, json=BODY, headers={**ada, "x-session-id": "secret"})
    receipt = f"/v1/memory/receipts/{told.headers['x-memory-receipt']}"
    assert http.get(receipt, headers=ada).status_code == 200
    assert http.get(receipt, headers=eve).status_code == 404
    assert http.get("/v1/sessions/secret/messages", headers=ada).status_code == 200
    assert http.get("/v1/sessions/secret/messages", headers=eve).status_code == 404
    assert http.delete("/v1/sessions/secret", headers=eve).status_code == 404
    assert http.get("/v1/sessions", headers=eve).json()["data"] == []
    http.post(CHAT, json=BODY, headers={**eve, "x-session-id": "secret"}).raise_for_status()
    assert [len(one.json["messages"]) for one in upstream.requests] == [1, 1]


def test_another_workspace_is_not_there(http: httpx.Client, person: dict[str, str]) -> None:
    answer = http.post(CHAT, json=BODY, headers={**person, "x-workspace-id": "theirs"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "workspace_not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "certs"), ("POST", "token")])
def test_there_is_no_development_issuer_unless_it_is_switched_on(
    http: httpx.Client, method: str, path: str
) -> None:
    answer = http.request(method, f"/development/{path}", json={"name": "ada"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


@pytest.fixture(scope="module")
def cut_off(
    running_upstream: LoopbackUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service whose certificate endpoint refuses connections."""
    with (
        serving(
            tmp_path_factory.mktemp("cut-off"),
            UPSTREAM_BASE=running_upstream.base_url,
            GOOGLE_CLIENT_ID=AUDIENCE,
            GOOGLE_CERTS_URL=f"http://127.0.0.1:{closed_port()}/certs",
        ) as running,
        httpx.Client(base_url=running.url, timeout=20, trust_env=False) as client,
    ):
        yield client


def test_with_google_away_a_token_cannot_be_judged_and_a_key_can(
    cut_off: httpx.Client, upstream: LoopbackUpstream, person: dict[str, str]
) -> None:
    answer = cut_off.post(CHAT, json=BODY, headers=person)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "certificates_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert upstream.requests == []
    assert cut_off.post(CHAT, json=BODY, headers=bearer("sk-alice")).status_code == 200
