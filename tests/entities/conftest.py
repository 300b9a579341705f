"""A ledger over either store, with a clock that stands still until told."""

import pytest

from gateway.documents.metered import MeteredDocuments
from support.facts import Records


@pytest.fixture
def records(documents: MeteredDocuments) -> Records:
    return Records(documents)
