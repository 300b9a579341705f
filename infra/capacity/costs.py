"""What each resource costs in a month: idle, and at some chat turns a day.

    make costs
    PYTHONPATH=infra python -m capacity.costs --help

Without the upstream's own tokens, which `make economics` is about. Free allowances are Google's,
for one billing account, and taken off. Sizes that were measured say so in ARCHITECTURE.md.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from capacity.prices import Prices

DAYS = 30.4
GIB = 1024**3
TURNS = (0, 1, 100, 10_000)
BUILD_MINUTES = 12


@dataclass(frozen=True)
class Load:
    """What a month holds; `turns` a day. The defaults are those of a plain turn."""

    turns: float
    reads_per_turn: float = 5.1  # sessions of 20 turns, each begun on a cold instance
    writes_per_turn: float = 4.2  # with the global limit
    seconds_per_turn: float = 8.0  # of the request, most of it waiting for the upstream
    sharing: float = 1.0  # requests that an instance serves at once; more share its price
    bytes_per_turn: float = 2_400  # stored, packed, with indexes
    months_kept: float = 1.0  # RETENTION_MAX_AGE_DAYS
    kib_sent_per_turn: float = 12.0
    log_bytes_per_turn: float = 2_000
    gpu: bool = False
    gpu_share: float = 0.5  # turns whose memory is large enough to ask
    turns_per_sitting: float = 10  # what comes within the container's idle time shares it
    gpu_idle_seconds: float = 300
    gpu_seconds_per_turn: float = 0.3
    secrets: int = 3
    jobs: int = 2
    image_gib: float = (
        1.2  # twenty images: each build makes its packages' layer anew, assumed 55 MB
    )
    conditions: int = 7  # of the alert policies (infra/terraform/alerts.tf)

    @property
    def monthly(self) -> float:
        return self.turns * DAYS


@dataclass(frozen=True)
class Bill:
    """Dollars a month."""

    cloud_run: float
    firestore: float
    backups: float
    gpu_tier: float
    secrets: float
    scheduler: float
    registry: float
    logging: float
    egress: float
    alerts: float

    @property
    def total(self) -> float:
        return math.fsum(getattr(self, field.name) for field in fields(self))


def bill(load: Load, prices: Prices) -> Bill:
    of = prices.of
    stored_gib = load.monthly * load.months_kept * load.bytes_per_turn / GIB
    return Bill(
        cloud_run=_cloud_run(load, prices),
        firestore=_firestore(load, prices, stored_gib),
        backups=7 * stored_gib * of("firestore", "backup_gib_month"),
        gpu_tier=_gpu_tier(load, prices) if load.gpu else 0.0,
        secrets=_over(load.secrets, of("secret_manager", "free_versions"))
        * of("secret_manager", "version_month"),
        scheduler=_over(load.jobs, of("scheduler", "free_jobs")) * of("scheduler", "job_month"),
        registry=_over(load.image_gib, of("artifact_registry", "free_gib"))
        * of("artifact_registry", "gib_month"),
        logging=_over(load.monthly * load.log_bytes_per_turn / GIB, of("logging", "free_gib"))
        * of("logging", "gib"),
        egress=_over(load.monthly * load.kib_sent_per_turn / 1024**2, of("egress", "free_gib"))
        * of("egress", "gib"),
        alerts=load.conditions * of("monitoring", "condition_month"),
    )


def build_price(prices: Prices) -> float:
    """Of one build, with its scan."""
    minutes = BUILD_MINUTES * prices.of("build", "minute")
    return minutes + prices.of("scanning", "image")


def _over(used: float, free: float) -> float:
    return max(0.0, used - free)


def _cloud_run(load: Load, prices: Prices) -> float:
    """One vCPU and one GiB for as long as a request is served; the cleanup's minutes are free."""
    seconds = load.monthly * load.seconds_per_turn / load.sharing
    requests = _over(load.monthly, prices.of("cloud_run", "free_requests")) / 1_000_000
    return (
        _over(seconds, prices.of("cloud_run", "free_vcpu_seconds"))
        * prices.of("cloud_run", "vcpu_second")
        + _over(seconds, prices.of("cloud_run", "free_gib_seconds"))
        * prices.of("cloud_run", "gib_second")
        + requests * prices.of("cloud_run", "million_requests")
    )


def _firestore(load: Load, prices: Prices, stored_gib: float) -> float:
    per_day = (
        ("reads", load.turns * load.reads_per_turn),
        ("writes", load.turns * load.writes_per_turn),
    )
    operations = sum(
        _over(count, prices.of("firestore", f"free_{name}_day"))
        * prices.of("firestore", f"{name}_100k")
        / 100_000
        for name, count in per_day
    )
    stored = _over(stored_gib, prices.of("firestore", "free_gib"))
    return DAYS * operations + stored * prices.of("firestore", "gib_month")


def _gpu_tier(load: Load, prices: Prices) -> float:
    """Containers start for a sitting and stay for their idle time; never more than always on."""
    asked = load.monthly * load.gpu_share
    sittings = asked / load.turns_per_sitting
    awake = min(
        sittings * load.gpu_idle_seconds + asked * load.gpu_seconds_per_turn,
        max(DAYS * 86_400, asked * load.gpu_seconds_per_turn),
    )
    return _over(awake * gpu_second(prices), prices.of("modal", "free_month"))


def gpu_second(prices: Prices) -> float:
    """A container's, with the four cores and 24 GiB that gpu/app.py asks for."""
    return (
        prices.of("modal", "gpu_second")
        + 4 * prices.of("modal", "core_second")
        + 24 * prices.of("modal", "gib_second")
    )


def table(bills: Sequence[tuple[str, Bill]]) -> str:
    """Markdown: a row for each resource, a column for each bill."""
    names = [field.name for field in fields(Bill)] + ["total"]
    rows = [
        ["a month, dollars", *(title for title, _ in bills)],
        ["---"] * (1 + len(bills)),
        *(
            [name.replace("_", " "), *(f"{getattr(b, name):.2f}" for _, b in bills)]
            for name in names
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of a deployment, from list prices.")
    parser.add_argument("--turns", type=float, nargs="+", default=TURNS, help="chat turns a day")
    parser.add_argument("--seconds", type=float, default=8.0, help="of one turn's request")
    chosen = parser.parse_args()
    prices = Prices.read()
    for gpu in (False, True):
        loads = [Load(turns, seconds_per_turn=chosen.seconds, gpu=gpu) for turns in chosen.turns]
        titles = ["idle" if not load.turns else f"{load.turns:,.0f} turns a day" for load in loads]
        print("\nWith a GPU tier (L40S at Modal)" if gpu else "Shared words rank", "\n")
        print(
            table([(title, bill(load, prices)) for title, load in zip(titles, loads, strict=True)])
        )
    print(f"\nA build: {build_price(prices):.2f} dollars")
    print("\nPrices:", *prices.sources(), sep="\n  ")


if __name__ == "__main__":
    main()
