"""A store whose operations are counted, and somebody who writes to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from support.memories import Scribe


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "memory.db")


@pytest.fixture
async def documents(file: str) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(file))
    yield opened
    await opened.close()


@pytest.fixture
def scribe(documents: MeteredDocuments) -> Scribe:
    return Scribe(documents)
