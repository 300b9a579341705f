"""What tests of several rooms share: one Firestore emulator for the whole run, stores of both kinds
whose operations are counted, and somebody who writes to them."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from gateway.documents.metered import MeteredDocuments
from support.emulator import Emulator, EmulatorMissing
from support.memories import Scribe
from support.stores import KINDS, Opener, opener

hypothesis.settings.register_profile("any machine", deadline=None)  # no test hangs on a clock
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One for the whole run, started by the first test that needs it."""
    try:
        started = Emulator()
    except EmulatorMissing as missing:
        pytest.skip(str(missing))
    with started:
        yield started


@pytest.fixture
def project() -> str:
    """A project of its own is an empty database of the emulator's."""
    return f"test-{uuid.uuid4().hex[:20]}"


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
