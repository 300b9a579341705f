"""The local issuer: its tokens pass the same verifier as Google's."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.errors import Unauthenticated
from gateway.identity.base import Identity
from gateway.identity.development import DevelopmentIssuer
from gateway.identity.google import CertificateSource, GoogleVerifier
from support.certificates import AUDIENCE, CertificateServer, Clock, SigningKey, make_token


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuer") / "made" / "on-demand.pem"


@pytest.fixture
def issuer(key_file: Path, clock: Clock) -> DevelopmentIssuer:
    return DevelopmentIssuer(key_file, clock)


@pytest.fixture
def verifier(
    issuer: DevelopmentIssuer, server: CertificateServer, client: httpx.AsyncClient, clock: Clock
) -> GoogleVerifier:
    server.body = json.dumps(issuer.certificates()).encode()
    return GoogleVerifier(
        frozenset({AUDIENCE}), CertificateSource(client, server.url, clock), clock
    )


async def test_its_tokens_pass_the_ordinary_verifier(
    issuer: DevelopmentIssuer, verifier: GoogleVerifier
) -> None:
    token = issuer.issue("ada", AUDIENCE)
    assert verifier.claims(token)
    assert await verifier.verify(token) == Identity("google:dev-ada", "google:dev-ada")


async def test_its_tokens_expire_and_name_their_audience(
    issuer: DevelopmentIssuer, verifier: GoogleVerifier, clock: Clock
) -> None:
    short = issuer.issue("ada", AUDIENCE, lifetime_seconds=60)
    clock.advance(71)
    for token in (short, issuer.issue("ada", "another-app")):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)


async def test_it_vouches_for_no_key_but_its_own(
    issuer: DevelopmentIssuer, verifier: GoogleVerifier, key: SigningKey
) -> None:
    [kid] = issuer.certificates()
    with pytest.raises(Unauthenticated):
        await verifier.verify(make_token(key, header={"kid": kid}))


async def test_tokens_outlive_a_restart(
    issuer: DevelopmentIssuer, verifier: GoogleVerifier, key_file: Path, clock: Clock
) -> None:
    restarted = DevelopmentIssuer(key_file, clock)
    assert (await verifier.verify(restarted.issue("ada", AUDIENCE))).owner == "google:dev-ada"


def test_the_key_file_is_private_and_alone(issuer: DevelopmentIssuer, key_file: Path) -> None:
    issuer.certificates()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_nothing_is_written_before_it_is_used(tmp_path: Path, clock: Clock) -> None:
    DevelopmentIssuer(tmp_path / "key.pem", clock)
    assert list(tmp_path.iterdir()) == []


def test_issuers_that_start_together_share_one_key(tmp_path: Path, clock: Clock) -> None:
    issuers = [DevelopmentIssuer(tmp_path / "key.pem", clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        certificates = list(threads.map(DevelopmentIssuer.certificates, issuers))
    assert len({kid for served in certificates for kid in served}) == 1


def test_nobody_is_not_a_person(issuer: DevelopmentIssuer) -> None:
    with pytest.raises(ValueError, match="name"):
        issuer.issue("", AUDIENCE)
