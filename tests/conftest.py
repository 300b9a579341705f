"""What tests of several rooms share: one Firestore emulator for the whole run."""

import uuid
from collections.abc import Iterator

import pytest

from support.emulator import Emulator, EmulatorMissing


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
