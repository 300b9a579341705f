"""Every implementation of the storage port. Tests keep to a root of their own within it."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.documents.base import Documents
from gateway.documents.firestore import FirestoreDocuments
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments

PATIENCE_SECONDS = 20.0  # a loaded machine is no outage
Opener = Callable[[], Documents]


@pytest.fixture(params=["sqlite", "metered", "firestore"])
def open_documents(request: pytest.FixtureRequest, tmp_path: Path, project: str) -> Opener:
    """Opens one more instance over the same store."""
    if request.param == "firestore":
        host = request.getfixturevalue("emulator").host
        return lambda: FirestoreDocuments(project, emulator_host=host, hot_seconds=PATIENCE_SECONDS)
    file = str(tmp_path / "documents.db")
    if request.param == "metered":
        return lambda: MeteredDocuments(SqliteDocuments(file))
    return lambda: SqliteDocuments(file)


@pytest.fixture
async def documents(open_documents: Opener) -> AsyncIterator[Documents]:
    async with AsyncExitStack() as stack:
        opened = open_documents()
        stack.push_async_callback(opened.close)
        yield opened


@pytest.fixture
async def another(open_documents: Opener) -> AsyncIterator[Documents]:
    async with AsyncExitStack() as stack:
        opened = open_documents()
        stack.push_async_callback(opened.close)
        yield opened


@pytest.fixture
def root() -> str:
    """A collection nobody else uses."""
    return f"contract-{uuid.uuid4().hex}"
