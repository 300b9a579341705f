"""Engines that are closed when their test is over."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.callers import Make
from support.engines import Bench, bench


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Bench] = []

    def one(**over: Any) -> Bench:
        made.append(bench(**over))
        return made[-1]

    yield one
    for each in made:
        each.engine.close()
