"""The simulation: it repeats itself, adds up, and shows what it is asked about."""

from dataclasses import replace

import pytest

from capacity.assumptions import Deployment, People, Times
from capacity.memory import InstanceMemory, turns_that_roll_over
from capacity.prices import Prices
from capacity.simulate import CASES, COLUMNS, Case, dollars, first_to_break, row
from capacity.simulation import Outcome, Simulation, quantile
from gateway.memory.recall import MAX_READ
from gateway.memory.segments import TAIL_TURNS
from gateway.settings import Settings

UNLIMITED = Deployment(global_requests_per_minute=0, containers=0)
BUSY = People(seconds_between_turns=10, tokens_asked=500)


def simulated(
    users: int, deployment: Deployment, people: People = BUSY, times: Times | None = None
) -> Outcome:
    return Simulation(users, deployment, people, times).run(20, 60)


def test_the_same_seed_tells_the_same() -> None:
    one, other = simulated(20, Deployment()), simulated(20, Deployment())
    assert (one.ends, one.waits, one.spent) == (other.ends, other.waits, other.spent)


def test_what_comes_is_what_people_ask() -> None:
    outcome = simulated(200, UNLIMITED)
    assert outcome.ends.keys() == {"answered"}
    assert 200 * 60 / 20 < outcome.turns < 200 * 60 / 10  # a pause, and the upstream's own time


def test_the_services_own_limiter_refuses() -> None:
    outcome = simulated(200, replace(UNLIMITED, global_requests_per_minute=100))
    assert outcome.ends["answered"] <= 100 * 1.2  # the minute's own, and what began before it
    assert outcome.ends["global limit"] > 500
    assert "GLOBAL_REQUESTS_PER_MINUTE" in first_to_break(
        outcome, replace(UNLIMITED, global_requests_per_minute=100)
    )


def test_too_few_instances_turn_people_away() -> None:
    few = replace(UNLIMITED, max_instances=1, concurrency=5)
    outcome = simulated(200, few)
    assert outcome.ends["no instance"] > outcome.ends["answered"]
    assert outcome.most_at_once == 5
    assert "max_instances" in first_to_break(outcome, few)


def test_a_plain_turn_is_billed_as_the_ledger_of_operations_says() -> None:
    young = People(seconds_between_turns=10, tokens_asked=500, turns_remembered=1, turns_spread=0)
    spent = simulated(100, UNLIMITED, young)
    turns = spent.ends["answered"]
    assert spent.spent.reads / turns == pytest.approx(2, rel=0.1)
    assert spent.spent.writes / turns == pytest.approx(3, rel=0.1)


def test_a_tail_rolls_over_as_the_gateway_packs_it() -> None:
    assert turns_that_roll_over(1_600) == TAIL_TURNS // 2 + 1
    assert turns_that_roll_over(20_000) > turns_that_roll_over(1_600)  # bytes are full first


def test_a_warm_instance_reads_no_segments() -> None:
    memory = InstanceMemory(100_000_000, 20_000)
    assert [memory.recall(1, 3, turn) for turn in range(3)] == [3, 0, 0]
    assert memory.recall(2, 100, 0) == MAX_READ


def test_a_cache_too_small_forgets() -> None:
    memory = InstanceMemory(2_000_000, 20_000)
    memory.recall(1, 4, 0)
    for person in range(2, 20):
        memory.recall(person, 4, 0)
    assert memory.recall(1, 4, 1) == 4


def test_a_cold_container_is_waited_for_no_longer_than_the_deadline() -> None:
    outcome = simulated(5, replace(Deployment(), global_requests_per_minute=0))
    cold = Times(container_start=1000)
    never = simulated(5, replace(Deployment(), global_requests_per_minute=0), times=cold)
    assert never.spent.asked - 5 <= never.spent.late <= never.spent.asked  # five may wait yet
    assert never.spent.late > 0
    assert max(never.waits) < 2 + 5  # the deadline, and an instance's start
    assert outcome.spent.late <= never.spent.late


def test_the_same_container_finds_what_it_has_read() -> None:
    roomy = Deployment(
        global_requests_per_minute=0, containers=4, containers_at_least=4, routing="owner"
    )
    quick = Times(container_start=0)
    here = simulated(20, roomy, times=quick)
    anywhere = simulated(20, replace(roomy, routing="any"), times=quick)
    assert here.spent.warm / here.spent.asked > 0.7
    assert here.spent.gpu_work_seconds < anywhere.spent.gpu_work_seconds


def test_nobody_there_costs_nothing() -> None:
    outcome = simulated(0, Deployment())
    assert (outcome.turns, dollars(outcome, Prices.read())) == (0, 0.0)
    assert quantile([], 0.5) == 0.0


def test_the_table_has_a_cell_for_every_column() -> None:
    case = Case(5, "so", Deployment(), 20, 60)
    cells = row(case, simulated(5, case.deployment), Prices.read())
    assert len(cells) == len(COLUMNS)
    assert {case.users for case in CASES} == {10, 1_000, 100_000}


def test_what_comes_is_what_settings_default_to() -> None:
    settings, assumed = Settings(_env_file=None), Deployment()
    assert assumed.global_requests_per_minute == settings.global_requests_per_minute
    assert assumed.global_shards == settings.global_limit_shards
    assert assumed.index_bytes == settings.max_memory_mb * 1_000_000
    assert assumed.deadline_seconds == settings.retriever_deadline_seconds
    assert assumed.most_tokens == settings.retriever_max_tokens
    assert assumed.small_tokens == settings.memory_compress_above_tokens
