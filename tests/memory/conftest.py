"""Stores of both kinds whose operations are counted, and somebody who writes to them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.documents.metered import MeteredDocuments
from support.memories import Scribe
from support.stores import KINDS, Opener, opener


@pytest.fixture(params=KINDS)
def open_documents(request: pytest.FixtureRequest, tmp_path: Path, project: str) -> Opener:
    """Opens one more instance over the same store."""
    return opener(request, request.param, tmp_path, project)


@pytest.fixture
async def documents(open_documents: Opener) -> AsyncIterator[MeteredDocuments]:
    opened = open_documents()
    yield opened
    await opened.close()


@pytest.fixture
async def another(open_documents: Opener) -> AsyncIterator[MeteredDocuments]:
    """A second instance over the same store."""
    opened = open_documents()
    yield opened
    await opened.close()


@pytest.fixture
def scribe(documents: MeteredDocuments) -> Scribe:
    return Scribe(documents)
