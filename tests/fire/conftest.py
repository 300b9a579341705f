"""A scripted upstream for a module's storms."""

from collections.abc import Iterator

import pytest

from support.upstream import LoopbackUpstream


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running
