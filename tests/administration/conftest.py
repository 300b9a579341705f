"""The service in this process, over either store, whose operations are counted."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.documents.base import Documents
from gateway.documents.metered import MeteredDocuments
from gateway.wiring import parts
from support.admins import Open, Person, built


@pytest.fixture
async def open_service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """A client of the service over a store, with other settings where they are given."""
    clients: list[httpx.AsyncClient] = []

    def opened(store: Documents, **settings: Any) -> httpx.AsyncClient:
        monkeypatch.setattr(parts, "documents_from", lambda _: store)
        transport = httpx.ASGITransport(app=built(**settings))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://service"))
        return clients[-1]

    yield opened
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(open_service: Open, documents: MeteredDocuments) -> httpx.AsyncClient:
    return open_service(documents)


@pytest.fixture
def ops(client: httpx.AsyncClient) -> Person:
    """The admin."""
    return Person(client, "ops")


@pytest.fixture
def alice(client: httpx.AsyncClient) -> Person:
    return Person(client, "alice")


@pytest.fixture
def bob(client: httpx.AsyncClient) -> Person:
    return Person(client, "bob")
