"""Which verifier decides, with the real ones in the order the service asks them."""

import httpx
import pytest

from gateway.errors import Unauthenticated
from gateway.identity.base import Authenticator
from gateway.identity.google import CertificateSource, GoogleVerifier
from gateway.identity.keys import KeyVerifier, parse_keys
from support.certificates import AUDIENCE, CertificateServer, Clock, SigningKey, make_token


@pytest.fixture
def authenticator(
    server: CertificateServer, client: httpx.AsyncClient, clock: Clock
) -> Authenticator:
    certificates = CertificateSource(client, server.url, clock)
    google = GoogleVerifier(frozenset({AUDIENCE}), certificates, clock)
    return Authenticator([KeyVerifier(parse_keys("alice:aaa.bbb.ccc, bob:sk-bob")), google])


async def test_an_id_token_is_a_google_account(
    authenticator: Authenticator, key: SigningKey
) -> None:
    identity = await authenticator.identify(f"Bearer {make_token(key)}", None)
    assert identity.subject == "google:110169484474386276334"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", " BEARER "])
async def test_a_bearer_that_is_no_jwt_is_tried_as_a_key(
    authenticator: Authenticator, scheme: str
) -> None:
    assert (await authenticator.identify(f"{scheme} sk-bob", None)).owner == "key:bob"


async def test_a_key_that_looks_like_a_jwt_is_a_key(
    authenticator: Authenticator, server: CertificateServer
) -> None:
    assert (await authenticator.identify("Bearer aaa.bbb.ccc", None)).owner == "key:alice"
    assert (await authenticator.identify(None, "aaa.bbb.ccc")).owner == "key:alice"
    assert server.hits == 0


async def test_the_api_key_header_goes_before_authorization(authenticator: Authenticator) -> None:
    identity = await authenticator.identify("Bearer sk-bob", "aaa.bbb.ccc")
    assert identity.owner == "key:alice"


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic sk-bob", "sk-bob", "Bearer sk-eve"]
)
async def test_whoever_brings_nothing_good_is_nobody(
    authenticator: Authenticator, authorization: str | None
) -> None:
    with pytest.raises(Unauthenticated):
        await authenticator.identify(authorization, None)
