"""How a deployment fares with 10, 1,000 and 100,000 people chatting, and what breaks first.

    make simulate
    PYTHONPATH=functions:gpu:infra python -m capacity.simulate --help

Each number of people meets the deployment as it comes, and one that was changed to bear them.
"""

import argparse
from dataclasses import dataclass

from capacity.assumptions import Deployment
from capacity.costs import gpu_second
from capacity.prices import Prices
from capacity.simulation import Outcome, Simulation, demands, quantile

AS_IT_COMES = Deployment()
FEWEST_ANSWERED = 100
COLUMNS = (
    "people", "deployment", "turns/s", "answered", "wait p50 / p99, s", "GPU in time", "KV hits",
    "instances", "GPU-s per 1,000 turns", "dollars per 1,000 turns", "what breaks first",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """`warm_up` and `seconds` are short where there are many people: they say as much."""

    users: int
    name: str
    deployment: Deployment
    warm_up: float
    seconds: float


CASES = (
    Case(10, "as it comes", AS_IT_COMES, 600, 7200),
    Case(1_000, "as it comes", AS_IT_COMES, 300, 600),
    Case(1_000, "GLOBAL_REQUESTS_PER_MINUTE=0", Deployment(global_requests_per_minute=0), 300, 600),
    Case(
        1_000,
        "and 16 GPUs always on, routed by owner",
        Deployment(
            global_requests_per_minute=0, containers=16, containers_at_least=16, routing="owner"
        ),
        300,
        600,
    ),
    Case(100_000, "as it comes", AS_IT_COMES, 30, 30),
    Case(
        100_000,
        "no global limit, 250 instances, shared words alone",
        Deployment(global_requests_per_minute=0, max_instances=250, containers=0),
        30,
        30,
    ),
    Case(
        100_000,
        "and 1,500 GPUs always on, routed by owner",
        Deployment(
            global_requests_per_minute=0,
            max_instances=250,
            containers=1_500,
            containers_at_least=1_500,
            routing="owner",
        ),
        60,
        30,
    ),
)


def first_to_break(outcome: Outcome, deployment: Deployment) -> str:
    """The one most overloaded; where none is, the one nearest to it and for how many people."""
    name, load = max(demands(outcome, deployment), key=lambda each: each[1])
    if load > 1:
        return f"{name} ({load:,.1f} times what it gives)"
    bearable = f"{outcome.users / load:,.0f}" if load else "many"
    return f"nothing; next {name}, at about {bearable} people"


def dollars(outcome: Outcome, prices: Prices) -> float:
    """Of all that is billed by use; no free allowance, no upstream."""
    spent = outcome.spent
    return (
        spent.instance_seconds
        * (prices.of("cloud_run", "vcpu_second") + prices.of("cloud_run", "gib_second"))
        + outcome.turns * prices.of("cloud_run", "million_requests") / 1e6
        + spent.reads * prices.of("firestore", "reads_100k") / 1e5
        + spent.writes * prices.of("firestore", "writes_100k") / 1e5
        + spent.gpu_billed_seconds * gpu_second(prices)
    )


def row(case: Case, outcome: Outcome, prices: Prices) -> list[str]:
    spent, asked = outcome.spent, max(1, outcome.spent.asked)
    waits = f"{quantile(outcome.waits, 0.5):.2f} / {quantile(outcome.waits, 0.99):.2f}"
    some_answered = outcome.ends["answered"] >= FEWEST_ANSWERED
    return [
        f"{case.users:,}",
        case.name,
        f"{outcome.turns / outcome.seconds:,.1f}",
        f"{outcome.share('answered'):.0%}",
        waits if some_answered else "",
        f"{1 - spent.late / asked:.0%}" if spent.asked else "",
        f"{spent.warm / asked:.0%}" if spent.asked else "",
        str(outcome.instances),
        per_thousand(spent.gpu_billed_seconds, outcome, 0),
        per_thousand(dollars(outcome, prices), outcome, 2),
        first_to_break(outcome, case.deployment),
    ]


def per_thousand(amount: float, outcome: Outcome, digits: int) -> str:
    """Of answered turns; nothing where too few were answered to say."""
    answered = outcome.ends["answered"]
    return f"{1000 * amount / answered:,.{digits}f}" if answered >= FEWEST_ANSWERED else ""


def line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates a deployment under load.")
    parser.add_argument("--users", type=int, nargs="+", help="only these of the table's")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    prices = Prices.read()
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n")
    for case in CASES:
        if chosen.users and case.users not in chosen.users:
            continue
        simulation = Simulation(case.users, case.deployment, seed=chosen.seed)
        outcome = simulation.run(case.warm_up, case.seconds)
        print(line(row(case, outcome, prices)), flush=True)


if __name__ == "__main__":
    main()
