"""The admins' routes of the running service, over either store: who gets in, and what they do."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from gateway.accounts.workspace import digest
from support.certificates import AUDIENCE, CertificateServer, SigningKey, make_claims, make_token
from support.service import Service, serving
from support.stores import KINDS

pytestmark = pytest.mark.service

CANARY = "zyxonite9417"
ALICE = digest("key:alice")
PATIENCE_SECONDS = 30.0
LONG_AGO, FAR_FUTURE = 1_700_000_000, 4_000_000_000


@pytest.fixture(scope="module", params=KINDS)
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificates: CertificateServer,
) -> Iterator[Service]:
    settings = {
        "ADMIN_SUBJECTS": "key:ops, google:boss",
        "GOOGLE_CLIENT_ID": AUDIENCE,
        "GOOGLE_CERTS_URL": certificates.url,
        "ALLOWED_ORIGINS": "https://console.example",
    }
    if request.param == "firestore":
        settings["STORE_URL"] = f"firestore://test-{uuid.uuid4().hex[:20]}"
        settings["FIRESTORE_EMULATOR_HOST"] = request.getfixturevalue("emulator").host
    with serving(tmp_path_factory.mktemp(request.param), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def client(running: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        yield client


def as_key(name: str) -> dict[str, str]:
    return {"x-api-key": f"sk-{name}"}


def as_google(key: SigningKey, sub: str) -> dict[str, str]:
    claims = make_claims(sub=sub, iat=LONG_AGO, exp=FAR_FUTURE)
    return {"authorization": f"Bearer {make_token(key, claims)}"}


def test_an_admin_works_and_nobody_else_does(
    client: httpx.Client, running: Service, signing_key: SigningKey
) -> None:
    said = {"content": f"My boat is called {CANARY}.", "session_id": "s"}
    client.post("/v1/messages", headers=as_key("alice"), json=said).raise_for_status()
    boss, other = as_google(signing_key, "boss"), as_google(signing_key, "bosses")
    for admin in (as_key("ops"), boss):
        page = client.get("/v1/admin/identities", headers=admin).raise_for_status().json()
        assert "key:alice" in {one["subject"] for one in page["data"]}
    for stranger in (as_key("alice"), other):
        for path in ("identities", "usage", "flags", "holds", "health", "audit"):
            assert client.get(f"/v1/admin/{path}", headers=stranger).status_code == 403
    assert client.get("/v1/admin/identities").status_code == 401

    hold = f"/v1/admin/holds/{ALICE}"
    client.put(hold, headers=boss).raise_for_status()
    refused = client.delete("/v1/memory", headers=as_key("alice"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "legal_hold")
    client.delete(hold, headers=boss).raise_for_status()

    flags = {"flags": {"ENABLE_CONTEXT_MEMORY": False}}
    switched = client.put(f"/v1/admin/flags/{ALICE}", headers=boss, json=flags)
    assert switched.raise_for_status().json()["flags"]["ENABLE_CONTEXT_MEMORY"] is False
    refused = client.post("/v1/messages", headers=as_key("alice"), json=said)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "memory_disabled")

    swept = client.post("/v1/admin/retention", headers=boss, json={"dry_run": False})
    assert swept.raise_for_status().json()["owners"] == 1
    lines = client.get("/v1/admin/audit", headers=boss).raise_for_status().json()["data"]
    assert {one["actor"] for one in lines} == {"google:boss", "key:ops"}
    assert "retention.run" in {one["act"] for one in lines}
    assert CANARY not in running.log
    assert "sk-" not in running.log


def test_a_console_elsewhere_may_put(client: httpx.Client) -> None:
    asked = {
        "origin": "https://console.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization",
    }
    answer = client.options("/v1/admin/flags", headers=asked)
    assert answer.status_code == 200
    assert "PUT" in answer.headers["access-control-allow-methods"]
