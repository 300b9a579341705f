"""The real service with all its doors, and what an attacker has: public keys, and a listener."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from support.certificates import (
    AUDIENCE,
    CertificateServer,
    SigningKey,
    make_claims,
    make_key,
    make_token,
)
from support.service import Service, serving
from support.upstream import LoopbackUpstream, echo

LONG_AGO, FAR_FUTURE = 1_700_000_000, 4_000_000_000
PATIENCE_SECONDS = 30.0
UPSTREAM_KEY = "sk-upstream-canary-5309"


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return make_key("attack")


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
def upstream(running_upstream: LoopbackUpstream) -> LoopbackUpstream:
    running_upstream.requests.clear()
    running_upstream.default = echo
    return running_upstream


@pytest.fixture
def listener() -> Iterator[LoopbackUpstream]:
    """A server of the attacker's: whoever asks it was led there."""
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture(scope="session")
def service(
    running_upstream: LoopbackUpstream,
    key: SigningKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    with (
        CertificateServer(key) as certificates,
        serving(
            tmp_path_factory.mktemp("attack"),
            UPSTREAM_BASE=running_upstream.base_url,
            UPSTREAM_API_KEY=UPSTREAM_KEY,
            GOOGLE_CLIENT_ID=AUDIENCE,
            GOOGLE_CERTS_URL=certificates.url,
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def claims() -> Callable[..., dict[str, Any]]:
    """Of a good token; what is given replaces them."""
    return lambda **given: make_claims(**{"iat": LONG_AGO, "exp": FAR_FUTURE, **given})


@pytest.fixture(scope="session")
def person(key: SigningKey, claims: Callable[..., dict[str, Any]]) -> Callable[[], dict[str, str]]:
    """The headers of somebody who has not been here before, another each time."""
    numbers = count(1)

    def headers() -> dict[str, str]:
        token = make_token(key, claims(sub=f"attacked-{next(numbers)}"))
        return {"authorization": f"Bearer {token}"}

    return headers
