"""The real service in front of a scripted upstream, one of each for a module's tests."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
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
from support.spoken import COOKIE
from support.upstream import LoopbackUpstream, echo

LONG_AGO, FAR_FUTURE = 1_700_000_000, 4_000_000_000
PATIENCE_SECONDS = 20.0


class Rewindable(LoopbackUpstream):
    """One upstream for many tests."""

    def rewind(self) -> None:
        """No request recorded, no answer queued, `echo` the default."""
        self.requests.clear()
        self._queues.clear()
        self.default = echo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def running_upstream() -> Iterator[Rewindable]:
    with Rewindable() as running:
        yield running


@pytest.fixture
def upstream(running_upstream: Rewindable) -> LoopbackUpstream:
    """What `service` asks, rewound for each test; `connections_aborted` counts on."""
    running_upstream.rewind()
    return running_upstream


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    return make_key("service")


@pytest.fixture(scope="module")
def certificates(signing_key: SigningKey) -> Iterator[CertificateServer]:
    with CertificateServer(signing_key) as server:
        yield server


@pytest.fixture(scope="module")
def service(
    folder: Path, running_upstream: Rewindable, certificates: CertificateServer
) -> Iterator[Service]:
    """No limits, the keys `sk-alice` and `sk-bob`, and Google tokens of `signing_key`."""
    with serving(
        folder,
        UPSTREAM_BASE=running_upstream.base_url,
        UPSTREAM_API_KEY="upstream-key",
        GOOGLE_CLIENT_ID=AUDIENCE,
        GOOGLE_CERTS_URL=certificates.url,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=service.url,
        timeout=PATIENCE_SECONDS,
        trust_env=False,
        headers={"cookie": COOKIE},
    ) as client:
        yield client


@pytest.fixture(scope="session")
def sign_in(signing_key: SigningKey) -> Callable[[], str]:
    """Makes a Google ID token of somebody who has not been here before."""
    numbers = count(1)

    def sign() -> str:
        claims = make_claims(sub=f"person-{next(numbers)}", iat=LONG_AGO, exp=FAR_FUTURE)
        return make_token(signing_key, claims)

    return sign


@pytest.fixture
def person(sign_in: Callable[[], str]) -> dict[str, str]:
    """The headers of somebody whose memory is empty."""
    return {"authorization": f"Bearer {sign_in()}"}


@pytest.fixture
def remembered(http: httpx.Client, person: dict[str, str]) -> Callable[[str], list[Any]]:
    """The messages of one of the person's sessions as they are read back; none if there is none."""

    def read(session: str) -> list[Any]:
        answer = http.get(f"/v1/sessions/{session}/messages", headers=person)
        if answer.status_code == 404:
            return []
        return list(answer.raise_for_status().json()["data"])

    return read
