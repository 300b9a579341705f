"""A store that fails when it is told to, at a time that stands still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.documents.sqlite import SqliteDocuments
from limits.clock import Clock
from support.memories import NOON
from support.outages import Unreliable


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Unreliable]:
    opened = Unreliable(SqliteDocuments(str(tmp_path / "documents.db")))
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)
