"""A store whose operations are counted, and somebody who writes to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from support.memories import Scribe


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "memory.db")))
    yield opened
    await opened.close()


@pytest.fixture
def scribe(documents: MeteredDocuments) -> Scribe:
    return Scribe(documents)
