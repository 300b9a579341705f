"""Google's verifier against real keys, real signatures and a real endpoint on loopback."""

import asyncio
import base64
import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Unauthenticated, Unavailable
from gateway.identity.base import Identity
from gateway.identity.google import (
    MAX_ANSWER_BYTES,
    MAX_TOKEN_CHARACTERS,
    CertificateSource,
    GoogleVerifier,
    SignatureVerifier,
)
from support.certificates import (
    AUDIENCE,
    NOW,
    CertificateServer,
    Clock,
    SigningKey,
    elliptic_certificate,
    make_claims,
    make_hmac_token,
    make_token,
    make_unsigned_token,
    with_payload,
)

ADA = Identity("google:110169484474386276334", "google:110169484474386276334")


@pytest.fixture
def source(server: CertificateServer, client: httpx.AsyncClient, clock: Clock) -> CertificateSource:
    return CertificateSource(client, server.url, clock)


@pytest.fixture
def verifier(source: CertificateSource, clock: Clock) -> GoogleVerifier:
    return GoogleVerifier(frozenset({AUDIENCE, "another-app"}), source, clock)


class Judge:
    """A verifier that counts what it is asked."""

    def __init__(self, inner: SignatureVerifier | None) -> None:
        assert inner is not None
        self._inner = inner
        self.asked = 0

    def verify(self, message: bytes, signature: bytes) -> bool:
        self.asked += 1
        return self._inner.verify(message, signature)


async def refusal(verifier: GoogleVerifier, token: str) -> str:
    """Why `token` is refused; no part of it may be in the answer."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    assert not [part for part in token.split(".") if len(part) > 7 and part in str(caught.value)]
    return caught.value.message


def test_a_jwt_is_claimed_and_a_key_is_not(verifier: GoogleVerifier, key: SigningKey) -> None:
    assert verifier.claims(make_token(key))
    assert verifier.claims(make_unsigned_token("kid"))
    for credential in ("", "sk-abc", "a.b", "a.b.c.d", "a. b.c", "a.b.c\n", "..", "é.é.é"):
        assert not verifier.claims(credential)


@pytest.mark.parametrize("issuer", ["accounts.google.com", "https://accounts.google.com"])
@pytest.mark.parametrize("audience", [AUDIENCE, "another-app"])
async def test_a_good_token_is_its_subject(
    verifier: GoogleVerifier, key: SigningKey, issuer: str, audience: str
) -> None:
    token = make_token(key, make_claims(iss=issuer, aud=audience))
    assert await verifier.verify(token) == ADA


async def test_a_signature_is_checked_once_for_each_token_and_certificate(
    verifier: GoogleVerifier, source: CertificateSource, key: SigningKey, clock: Clock
) -> None:
    token = make_token(key)
    judge = Judge(await source.verifier(key.kid))
    source._verifiers = {key.kid: judge}
    for _ in range(3):
        assert await verifier.verify(token) == ADA
    assert await refusal(verifier, with_payload(token, make_claims(sub="other")))
    assert judge.asked == 2
    source._verifiers = {key.kid: Judge(judge)}  # fetched anew
    assert await verifier.verify(token) == ADA
    assert judge.asked == 3


async def test_a_token_found_good_before_still_expires(
    verifier: GoogleVerifier, key: SigningKey, clock: Clock
) -> None:
    token = make_token(key)
    assert await verifier.verify(token) == ADA
    clock.now += 7200
    assert await refusal(verifier, token) == "The ID token has expired."


async def test_an_expired_token_is_refused(verifier: GoogleVerifier, key: SigningKey) -> None:
    token = make_token(key, make_claims(NOW - 7200))
    assert await refusal(verifier, token) == "The ID token has expired."


async def test_a_token_from_the_future_is_refused(
    verifier: GoogleVerifier, key: SigningKey
) -> None:
    token = make_token(key, make_claims(NOW + 600))
    assert await refusal(verifier, token) == "The ID token is not valid yet."


async def test_ten_seconds_of_skew_are_forgiven_at_both_ends(
    verifier: GoogleVerifier, key: SigningKey
) -> None:
    now = int(NOW)
    for claims in (make_claims(exp=now - 10), make_claims(iat=now + 10)):
        assert await verifier.verify(make_token(key, claims)) == ADA
    for claims in (make_claims(exp=now - 11), make_claims(iat=now + 11)):
        await refusal(verifier, make_token(key, claims))


async def test_the_clock_passed_in_decides(
    verifier: GoogleVerifier, key: SigningKey, clock: Clock
) -> None:
    token = make_token(key)
    assert await verifier.verify(token) == ADA
    clock.advance(3610)
    assert await verifier.verify(token) == ADA
    clock.advance(0.5)
    assert await refusal(verifier, token) == "The ID token has expired."


async def test_a_wrong_audience_is_refused(verifier: GoogleVerifier, key: SigningKey) -> None:
    token = make_token(key, make_claims(aud="someone-else"))
    assert await refusal(verifier, token) == "The ID token was issued for another audience."


async def test_no_audience_refuses_every_token(
    source: CertificateSource, clock: Clock, key: SigningKey, server: CertificateServer
) -> None:
    verifier = GoogleVerifier(frozenset(), source, clock)
    for claims in (make_claims(), make_claims(aud=""), make_claims(aud=None)):
        message = await refusal(verifier, make_token(key, claims))
        assert message == "Google sign-in is not configured here."
    assert server.hits == 0


async def test_a_wrong_issuer_is_refused(verifier: GoogleVerifier, key: SigningKey) -> None:
    for issuer in ("https://accounts.example.test", "https://accounts.google.com/", "google.com"):
        token = make_token(key, make_claims(iss=issuer))
        assert await refusal(verifier, token) == "The ID token was not issued by Google."


@pytest.mark.parametrize("name", ["sub", "aud", "iss", "iat", "exp"])
async def test_a_missing_claim_is_refused(
    verifier: GoogleVerifier, key: SigningKey, name: str
) -> None:
    claims = make_claims()
    del claims[name]
    token = make_token(key, claims)
    assert await refusal(verifier, token) == f"The ID token has no valid `{name}`."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", ""),
        ("sub", 110169484474386276334),
        ("sub", "1" * 256),
        ("sub", ["a"]),
        ("aud", [AUDIENCE]),
        ("aud", {AUDIENCE: 1}),
        ("iss", ["accounts.google.com"]),
        ("exp", str(int(NOW) + 3600)),
        ("exp", True),
        ("exp", {}),
        ("iat", "now"),
        ("iat", []),
    ],
)
async def test_a_claim_of_the_wrong_kind_is_refused(
    verifier: GoogleVerifier, key: SigningKey, name: str, value: Any
) -> None:
    token = make_token(key, make_claims(**{name: value}))
    assert await refusal(verifier, token) == f"The ID token has no valid `{name}`."


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400])
async def test_a_time_that_is_no_time_is_refused(
    verifier: GoogleVerifier, key: SigningKey, number: float
) -> None:
    token = make_token(key, make_claims(exp=number))
    assert await refusal(verifier, token) == "The ID token is malformed."


async def test_the_hosted_domain_must_match_where_one_is_set(
    source: CertificateSource, clock: Clock, key: SigningKey
) -> None:
    verifier = GoogleVerifier(frozenset({AUDIENCE}), source, clock, hosted_domain="example.test")
    assert await verifier.verify(make_token(key, make_claims(hd="example.test"))) == ADA
    for domain in (None, "", "evil.test", ["example.test"]):
        message = await refusal(verifier, make_token(key, make_claims(hd=domain)))
        assert message == "The ID token belongs to an account of another domain."


async def test_an_unsigned_token_is_refused(
    verifier: GoogleVerifier, server: CertificateServer
) -> None:
    message = await refusal(verifier, make_unsigned_token("first"))
    assert message == "The ID token is not signed with RS256."
    assert server.hits == 0


@pytest.mark.parametrize("secret_is", ["public key", "certificate"])
async def test_a_public_key_is_no_shared_secret(
    verifier: GoogleVerifier, key: SigningKey, secret_is: str
) -> None:
    secret = key.public_pem if secret_is == "public key" else key.certificate.encode()
    token = make_hmac_token(key.kid, secret)
    assert await refusal(verifier, token) == "The ID token is not signed with RS256."


async def test_a_tampered_payload_is_refused(verifier: GoogleVerifier, key: SigningKey) -> None:
    token = with_payload(make_token(key), make_claims(sub="somebody-else"))
    assert await refusal(verifier, token) == "The ID token's signature does not match."


async def test_another_key_under_a_known_kid_is_refused(
    verifier: GoogleVerifier, key: SigningKey, other_key: SigningKey
) -> None:
    token = make_token(other_key, header={"kid": key.kid})
    assert await refusal(verifier, token) == "The ID token's signature does not match."


@pytest.mark.parametrize("kid", [None, "", 7, ["first"], {"first": 1}])
async def test_a_header_without_a_kid_is_refused(
    verifier: GoogleVerifier, key: SigningKey, kid: Any
) -> None:
    token = make_token(key, header={"kid": kid})
    assert await refusal(verifier, token) == "The ID token has no valid `kid`."


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "!!!!.????.****",
        "bm90anNvbg.bm90anNvbg.bm90anNvbg",
        "W10.W10.c2ln",
        "one-part",
        "one.two",
        "one.two.three.four",
        "é.é.é",
        "\ud800.\ud800.\ud800",
        "\0.\0.\0",
        "gICA.gICA.gICA",
        f"{base64.urlsafe_b64encode(b'[' * 9000).decode().rstrip('=')}.e30.c2ln",
    ],
)
async def test_garbage_is_refused(verifier: GoogleVerifier, token: str) -> None:
    assert await refusal(verifier, token) == "The ID token is malformed."


async def test_a_huge_token_is_refused_unread(verifier: GoogleVerifier, key: SigningKey) -> None:
    token = make_token(key, make_claims(padding="x" * MAX_TOKEN_CHARACTERS))
    assert await refusal(verifier, token) == "The ID token is too large."


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=st.lists(st.binary(max_size=40) | st.text(max_size=20), min_size=1, max_size=4))
async def test_whatever_is_sent_is_refused_in_words(
    verifier: GoogleVerifier, parts: list[bytes | str]
) -> None:
    token = ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") if isinstance(part, bytes) else part
        for part in parts
    )
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_certificates_are_fetched_once_while_they_are_fresh(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer, clock: Clock
) -> None:
    assert await verifier.verify(make_token(key)) == ADA
    clock.advance(3599)
    assert await verifier.verify(make_token(key)) == ADA
    assert server.hits == 1
    clock.advance(1)
    assert await verifier.verify(make_token(key)) == ADA
    assert server.hits == 2


async def test_the_age_of_an_answer_counts_against_its_freshness(
    source: CertificateSource, server: CertificateServer, clock: Clock
) -> None:
    server.headers["age"] = "3000"
    await source.verifier("first")
    clock.advance(600)
    await source.verifier("first")
    assert server.hits == 2


@pytest.mark.parametrize(
    ("cache_control", "fresh_seconds"),
    [
        ("no-cache", 3600),
        ("s-maxage=5", 3600),
        ("max-age=0", 60),
        ("max-age=-5", 3600),
        ("MAX-AGE=120", 120),
        ("public,max-age=999999999", 24 * 3600),
        ("max-age=" + "9" * 5000, 24 * 3600),
    ],
)
async def test_a_strange_cache_control_neither_hammers_nor_stays_for_ever(
    source: CertificateSource,
    server: CertificateServer,
    clock: Clock,
    cache_control: str,
    fresh_seconds: int,
) -> None:
    server.headers["cache-control"] = cache_control
    await source.verifier("first")
    clock.advance(fresh_seconds - 1)
    await source.verifier("first")
    assert server.hits == 1
    clock.advance(1)
    await source.verifier("first")
    assert server.hits == 2


async def test_a_rotated_key_is_found_before_the_old_answer_is_stale(
    verifier: GoogleVerifier,
    key: SigningKey,
    other_key: SigningKey,
    server: CertificateServer,
    clock: Clock,
) -> None:
    assert await verifier.verify(make_token(key)) == ADA
    server.serve(other_key)
    clock.advance(60)
    tokens = [make_token(other_key)] * 20
    assert await asyncio.gather(*map(verifier.verify, tokens)) == [ADA] * 20
    assert server.hits == 2
    assert await refusal(verifier, make_token(key)) == "The ID token is signed with an unknown key."


async def test_unknown_kids_cause_one_fetch_a_minute(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer, clock: Clock
) -> None:
    for second in range(125):
        token = make_token(key, header={"kid": f"unknown-{second}"})
        message = await refusal(verifier, token)
        assert message == "The ID token is signed with an unknown key."
        clock.advance(1)
    assert server.hits == 3  # at 0, 60 and 120 seconds


async def test_twenty_at_once_cause_one_fetch(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer
) -> None:
    with server.hanging():
        waiting = [asyncio.create_task(verifier.verify(make_token(key))) for _ in range(20)]
        await asyncio.to_thread(server.wait_until_asked)
    assert await asyncio.gather(*waiting) == [ADA] * 20
    assert server.hits == 1


async def test_a_caller_who_leaves_does_not_take_the_fetch_along(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer
) -> None:
    with server.hanging():
        leaving = asyncio.create_task(verifier.verify(make_token(key)))
        staying = asyncio.create_task(verifier.verify(make_token(key)))
        await asyncio.to_thread(server.wait_until_asked)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert await staying == ADA
    assert server.hits == 1


def misbehave(server: CertificateServer, how: str) -> None:
    bodies = {
        "not json": b"<html>",
        "not an object": b"[]",
        "no certificates": b"{}",
        "not a certificate": b'{"first": "-----BEGIN CERTIFICATE-----"}',
        "not text": b'{"first": 1, "second": null}',
        "of another kind": json.dumps({"first": elliptic_certificate()}).encode(),
        "too large": b" " * MAX_ANSWER_BYTES + server.body,
    }
    statuses = {"an error": 500, "not found": 404, "a redirect": 302, "no content": 204}
    server.body = bodies.get(how, server.body)
    server.status = statuses.get(how, 200)
    if how == "a redirect":
        server.headers["location"] = server.url
    if how == "cut short":
        server.headers["content-length"] = str(len(server.body) + 1)
    if how == "compressed":
        server.headers["content-encoding"] = "gzip"
        server.body = b"\x1f\x8b" + server.body


MISBEHAVIOURS = [
    *("an error", "not found", "a redirect", "cut short", "compressed"),
    *("not json", "not an object", "no certificates", "not a certificate", "not text"),
    *("of another kind", "too large"),
]


@pytest.mark.parametrize("how", MISBEHAVIOURS)
async def test_without_any_certificate_nobody_can_tell(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer, clock: Clock, how: str
) -> None:
    misbehave(server, how)
    with pytest.raises(Unavailable) as caught:
        await verifier.verify(make_token(key))
    assert (caught.value.status, caught.value.code) == (503, "certificates_unavailable")
    assert caught.value.headers["retry-after"] == "1"
    assert server.hits == 1

    server.status, server.headers = 200, {}
    server.serve(key)
    clock.advance(1)
    assert await verifier.verify(make_token(key)) == ADA


@pytest.mark.parametrize("how", MISBEHAVIOURS)
async def test_stale_certificates_are_served_while_the_endpoint_is_away(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer, clock: Clock, how: str
) -> None:
    assert await verifier.verify(make_token(key)) == ADA
    misbehave(server, how)
    clock.advance(3600)
    for _ in range(5):
        assert await verifier.verify(make_token(key)) == ADA
        clock.advance(1)
    assert server.hits == 2  # tried again, but not by every request


async def test_an_endpoint_that_hangs_is_given_up(
    server: CertificateServer, client: httpx.AsyncClient, clock: Clock
) -> None:
    source = CertificateSource(client, server.url, clock, timeout_seconds=0.05)
    with server.hanging(), pytest.raises(Unavailable):
        await source.verifier("first")


async def test_stale_certificates_are_served_while_the_endpoint_hangs(
    server: CertificateServer, client: httpx.AsyncClient, clock: Clock
) -> None:
    source = CertificateSource(client, server.url, clock, timeout_seconds=1)
    fetched = await source.verifier("first")
    assert fetched is not None
    clock.advance(3600)
    with server.hanging():
        assert await source.verifier("first") is fetched
    assert server.hits == 2


async def test_an_endpoint_nobody_listens_at_is_unavailable(
    client: httpx.AsyncClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with CertificateServer() as gone:
        url = gone.url
    with pytest.raises(Unavailable), caplog.at_level(logging.WARNING):
        await CertificateSource(client, url, clock).verifier("first")
    assert caplog.messages == ["certificates could not be fetched: ConnectError"]


async def test_a_certificate_of_another_kind_does_not_spoil_the_rest(
    verifier: GoogleVerifier, key: SigningKey, server: CertificateServer
) -> None:
    certificates = {"elliptic": elliptic_certificate(), "broken": "", key.kid: key.certificate}
    server.body = json.dumps(certificates).encode()
    assert await verifier.verify(make_token(key)) == ADA
    message = await refusal(verifier, make_token(key, header={"kid": "elliptic"}))
    assert message == "The ID token is signed with an unknown key."
