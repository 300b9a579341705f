"""The real service, an upstream that finds nothing to record, and people nobody knows yet."""

from collections.abc import Callable, Iterator
from itertools import count

import httpx
import pytest

from support.service import Service, serving
from support.upstream import Answer, LoopbackUpstream, Recorded, completion, echo

PEOPLE = [f"p{n}" for n in range(2_000)]
PATIENCE_SECONDS = 60.0


def obliging(request: Recorded) -> Answer:
    """Asked for JSON it proposes no change; else it says what it hears."""
    if b'"response_format"' in request.body:
        return Answer.json(completion('{"operations": []}'))
    return echo(request)


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(obliging) as running:
        yield running


@pytest.fixture(scope="session")
def service(
    upstream: LoopbackUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with serving(
        tmp_path_factory.mktemp("fuzz"),
        UPSTREAM_BASE=upstream.base_url,
        API_KEYS=",".join(f"{name}:sk-{name}" for name in PEOPLE),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def stranger() -> Callable[[], dict[str, str]]:
    """The headers of somebody whose memory is empty, another each time."""
    numbers = count()
    return lambda: {"x-api-key": f"sk-{PEOPLE[next(numbers)]}"}
