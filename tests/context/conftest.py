"""A memory with facts and messages over either store."""

import pytest

from gateway.documents.metered import MeteredDocuments
from support.contexts import Mind


@pytest.fixture
def mind(documents: MeteredDocuments) -> Mind:
    return Mind(documents)
