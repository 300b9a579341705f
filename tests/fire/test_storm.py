"""Small storms, and what is counted after them. `make storm` has the large ones and the times."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fire.crowd import LATE, Crowd, acknowledged, unanswered
from fire.outages import Outages
from fire.reckoning import Ledger, established, kept
from fire.rush import rushes
from fire.weather import WELL, Weather
from support.service import Service
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

KEYS = ["sk-alice", "sk-bob"]
HELD = 1_000_000  # tokens that each request reserves: one that leaks shows
TURNS = 2
LOOKS = 400


@pytest.fixture
def stormy(upstream: LoopbackUpstream, tmp_path: Path) -> Iterator[Service]:
    """A service that waits two seconds for an upstream in bad health."""
    upstream.default = Weather(11, slow_seconds=0.2)
    with Service(
        tmp_path,
        UPSTREAM_BASE=upstream.base_url,
        REQUEST_TIMEOUT_SECONDS="2",
        UPSTREAM_TIMEOUT_SECONDS="2",
        MEMORY_COMPRESS_ABOVE_TOKENS="100",
    ) as service:
        yield service


def crowd(service: Service) -> Crowd:
    return Crowd(service.port, KEYS, well=6, sick=24, held=HELD, cycle=0.0, patience=60.0)


async def until_quiet(service: Service, upstream: LoopbackUpstream) -> tuple[int, int]:
    """What is left open, after at most `LOOKS` looks."""
    for _ in range(LOOKS):
        left = established(service.worker, service.port), upstream.answering
        if not any(left):
            break
        await asyncio.to_thread(established, service.worker, service.port)
    return left


async def test_after_a_storm_every_turn_is_there_once_and_nothing_is_held_or_open(
    stormy: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    outcomes = await crowd(stormy).turns("storm", TURNS)
    assert len(outcomes) == 30 * TURNS
    well = [one for one in outcomes if one.health == WELL]
    assert {one.status for one in well} <= {200, 504}  # late on a machine that is too busy
    assert len({one.status for one in outcomes}) >= 5  # it was a storm
    assert LATE not in {one.status for one in outcomes}
    assert await until_quiet(stormy, upstream) == (0, 0)
    found = kept(stormy, acknowledged(outcomes))
    assert found.acknowledged > 0
    assert (found.missing, found.doubled) == ([], [])
    counted = Ledger(tmp_path).tokens_counted()
    assert 0 < counted < HELD
    assert "Traceback" not in stormy.log


async def test_a_worker_killed_in_a_storm_loses_no_acknowledged_turn_and_doubles_none(
    stormy: Service, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    clients, outages = crowd(stormy), Outages(tmp_path)
    storm = asyncio.create_task(clients.turns("storm", TURNS))
    await upstream.until(lambda: len(upstream.requests) > 30)
    await outages.kill_the_worker(stormy)
    outcomes = [*await storm, *await clients.turns("after", 1)]
    found = kept(stormy, acknowledged(outcomes))
    assert found.acknowledged >= 6
    assert (found.missing, found.doubled) == ([], [])
    assert Ledger(tmp_path).leaked(HELD) <= unanswered(outcomes, outages.kills)
    assert await until_quiet(stormy, upstream) == (0, 0)


def test_a_hundred_at_once_are_all_answered(stormy: Service) -> None:
    assert len(list(rushes(stormy, "sk-alice", rounds=1))) == 2
