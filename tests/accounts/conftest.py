"""A clock that stands, and keys over either store."""

from collections.abc import Callable
from random import Random

import pytest

from gateway.accounts.keys import Keys
from gateway.documents.metered import MeteredDocuments
from limits.clock import Clock

NOON = 20_000 * 86_400 + 43_200


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def keys(documents: MeteredDocuments, clock: Callable[[], float]) -> Keys:
    return Keys(documents, clock, Random(7))
