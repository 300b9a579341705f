"""The cost table: what it adds up, and that idle costs next to nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.costs import TURNS, Bill, Load, bill, gpu_second, table
from capacity.prices import UNSEEN, Prices


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices.read()


def test_what_runs_costs_nothing_when_idle(prices: Prices) -> None:
    idle = bill(Load(0, gpu=True), prices)
    assert (idle.cloud_run, idle.firestore, idle.gpu_tier, idle.backups, idle.logging) == (0,) * 5
    assert idle.total < 1


def test_firestores_part_is_the_sum_of_its_operations(prices: Prices) -> None:
    ten_thousand = bill(Load(10_000, bytes_per_turn=0), prices).firestore
    reads = max(0, 51_000 - 50_000) * 0.06 / 100_000
    writes = (42_000 - 20_000) * 0.18 / 100_000
    assert ten_thousand == pytest.approx(30.4 * (reads + writes))


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans())
def test_more_turns_never_cost_less(one: float, more: float, gpu: bool) -> None:
    prices = Prices.read()
    less, greater = (bill(Load(turns, gpu=gpu), prices).total for turns in sorted((one, more)))
    assert 0 <= less <= greater + 1e-9


def test_a_gpu_that_never_sleeps_is_the_most_that_few_people_cost(prices: Prices) -> None:
    always_on = 30.4 * 86_400 * gpu_second(prices)
    assert bill(Load(1_000, gpu=True, turns_per_sitting=1), prices).gpu_tier < always_on
    busy = bill(Load(5_000, gpu=True, turns_per_sitting=1), prices).gpu_tier
    assert busy == pytest.approx(always_on - prices.of("modal", "free_month"))


def test_the_table_has_every_resource_and_every_load(prices: Prices) -> None:
    bills = [(str(turns), bill(Load(turns), prices)) for turns in TURNS]
    lines = table(bills).splitlines()
    assert len(lines) == 2 + len(Bill.__dataclass_fields__) + 1
    assert {line.count("|") for line in lines} == {len(TURNS) + 2}


def test_sharing_an_instance_shares_its_price(prices: Prices) -> None:
    load = Load(50_000)
    alone, shared = bill(load, prices), bill(replace(load, sharing=4), prices)
    assert shared.cloud_run < alone.cloud_run / 3


def test_every_price_has_a_page(prices: Prices) -> None:
    for line in prices.sources():
        assert "https://" in line
        assert "NOT CONFIRMED" in line or "2026-11-21" in line
        assert UNSEEN not in line


def test_the_conditions_of_the_alerts_are_those_of_terraform() -> None:
    alerts = (Path(__file__).parents[2] / "infra" / "terraform" / "alerts.tf").read_text()
    shares = len(re.findall(r"^      severity ", alerts, re.MULTILINE))
    policies = len(re.findall(r"^  conditions \{", alerts, re.MULTILINE))
    assert Load(0).conditions == shares + policies - 1  # the shares' policy is written once


def test_the_table_of_the_page_is_what_is_computed(prices: Prices) -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text()
    totals = [f"{bill(Load(turns), prices).total:.2f}" for turns in TURNS]
    told = " | ".join(f"**{total}**" for total in totals)
    assert f"| **without a GPU** | {told} |" in page
    gpu = bill(Load(TURNS[-1], gpu=True), prices).gpu_tier
    assert f"| {gpu:,.0f} |" in page
