"""Spoofing and elevation: every route of `/openapi.json` refuses what is no credential, and the
admin's routes whoever is no admin. `tests/identity` has the verifier's own cases."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.certificates import (
    SigningKey,
    make_hmac_token,
    make_key,
    make_token,
    make_unsigned_token,
    with_payload,
)
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

Claims = Callable[..., dict[str, Any]]
OPEN = {
    "/",
    "/console/config.json",
    "/console/{path}",
    "/health",
    "/health/detailed",
    "/openapi.json",
    "/docs",
}
CHAT = "/v1/chat/completions"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def forgeries(key: SigningKey, claims: Claims, listener: str) -> dict[str, str]:
    """Tokens that an attacker can make of the public keys, of old tokens and of other parties'."""
    other = make_key(key.kid)
    good, victim = make_token(key, claims()), claims(sub="victim")
    led = {"jku": f"{listener}/jwks", "x5u": f"{listener}/x5u", "kid": "elsewhere"}
    return {
        "unsigned": make_unsigned_token(key.kid, victim),
        "HS256 by the public key": make_hmac_token(key.kid, key.public_pem, victim),
        "HS256 by the certificate": make_hmac_token(key.kid, key.certificate.encode(), victim),
        "RS256 in name": make_token(other, victim),
        "another key's id": make_token(key, victim, {"kid": "unknown"}),
        "no key's id": make_token(key, victim, {"kid": None}),
        "a path as key's id": make_token(key, victim, {"kid": "../../dev/null"}),
        "a key of its own": make_token(other, victim, {"jwk": {"kty": "RSA"}, **led}),
        "RS384": make_token(key, victim, {"alg": "RS384"}),
        "alg in lower case": make_token(key, victim, {"alg": "rs256"}),
        "other claims under a signature": with_payload(good, victim),
        "a token in a token": make_token(key, {"sub": good}, {"cty": "JWT"}),
        "a JSON serialisation": json.dumps({"payload": good.split(".")[1], "signatures": []}),
        "four parts": f"{good}.{good.rpartition('.')[2]}",
        "expired": make_token(key, claims(exp=1_700_000_100)),
        "not yet": make_token(key, claims(iat=3_900_000_000)),
        "another audience": make_token(key, claims(aud="other.apps.googleusercontent.com")),
        "two audiences": make_token(key, claims(aud=["a", "b"])),
        "another issuer": make_token(key, claims(iss="https://accounts.google.com.evil.test")),
        "no subject": make_token(key, claims(sub=None)),
        "somebody's subject": "google:victim",
        "a key's beginning": "sk-alic",
        "a key with a space": "sk-alice x",
    }


def routes(http: httpx.Client) -> Iterator[tuple[str, str]]:
    for path, methods in http.get("/openapi.json").json()["paths"].items():
        for method in methods:
            yield method.upper(), path


def filled(path: str) -> str:
    return "/".join("x1" if part.startswith("{") else part for part in path.split("/"))


def refused(answer: httpx.Response, place: str) -> None:
    assert answer.status_code == 401, (place, answer.status_code, answer.text)
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_no_forgery_opens_the_door_and_none_is_looked_up_elsewhere(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    listener: LoopbackUpstream,
    key: SigningKey,
    claims: Claims,
) -> None:
    for name, token in forgeries(key, claims, listener.origin).items():
        for headers in ({"authorization": f"Bearer {token}"}, {"x-api-key": token}):
            refused(http.post(CHAT, json=HELLO, headers=headers), name)
    assert upstream.requests == []
    assert listener.connections_opened == 0
    good = {"authorization": f"Bearer {make_token(key, claims())}"}
    assert http.post(CHAT, json=HELLO, headers=good).status_code == 200


def test_every_route_asks_for_a_credential(
    http: httpx.Client, key: SigningKey, claims: Claims
) -> None:
    attempts = {
        "nothing": {},
        "forged": {"authorization": f"Bearer {make_unsigned_token(key.kid, claims())}"},
        "signed out": {"authorization": f"Bearer {make_token(key, claims(exp=1_700_000_100))}"},
    }
    asked = [one for one in routes(http) if one[1] not in OPEN]
    assert len(asked) > 40
    for method, path in asked:
        for name, headers in attempts.items():
            refused(http.request(method, filled(path), headers=headers), f"{name} {method} {path}")


def test_admin_routes_are_closed_to_whoever_is_no_admin(
    http: httpx.Client, person: Callable[[], dict[str, str]]
) -> None:
    """Whichever there are: the document names them."""
    headers = person()
    admin = [one for one in routes(http) if one[1].startswith("/v1/admin")]
    assert len(admin) > 10
    for method, path in admin:
        answer = http.request(method, filled(path), headers=headers)
        assert answer.status_code == 403, (method, path, answer.text)
    claimed = http.get("/v1/admin/identities", headers=headers)
    assert claimed.status_code in {403, 404}


def test_no_header_and_no_field_makes_somebody_else_of_a_caller(
    http: httpx.Client, upstream: LoopbackUpstream, person: Callable[[], dict[str, str]]
) -> None:
    ada, eve = person(), person()
    note = {"content": "Ada's boat is blue.", "session_id": "boat"}
    http.post("/v1/messages", json=note, headers=ada).raise_for_status()
    posing = {
        "x-goog-authenticated-user-id": "accounts.google.com:attacked-1",
        "x-forwarded-user": "google:attacked-1",
        "x-user-id": "google:attacked-1",
        "x-workspace-id": "google:attacked-1",
        "cookie": "session=google:attacked-1",
    }
    for name, value in posing.items():
        found = http.get("/v1/sessions/boat/messages", headers={**eve, name: value})
        assert found.status_code == 404, name
    for field in ("user_id", "tenant_id", "workspace_id"):
        body = {**HELLO, field: "google:attacked-1"}
        assert http.post(CHAT, json=body, headers=eve).status_code == 403
    assert upstream.requests == []
