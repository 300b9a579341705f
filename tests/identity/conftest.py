from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from support.certificates import CertificateServer, Clock, SigningKey, make_key


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return make_key("first")


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    return make_key("second")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(key: SigningKey) -> Iterator[CertificateServer]:
    with CertificateServer(key) as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client
