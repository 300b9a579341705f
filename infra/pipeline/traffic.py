"""Shifts a Cloud Run service's traffic to its candidate in steps, and back when it errs.

    PYTHONPATH=infra python -m pipeline.traffic memory-ops-gateway --project P --region R

The candidate is the revision that carries the tag. At each step it is watched: its health, asked at
the tag's own address, and the share of its requests that Cloud Run logged with a 5xx, held against
the revision it replaces, so that an upstream's outage is not blamed on it. Whatever goes wrong, an
interruption too, all traffic returns to where it was; then the exit status is 1.
"""

import argparse
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from pipeline.gcloud import Gcloud, GcloudFailed

STEPS = (10, 50, 100)
WATCH_SECONDS = 180
LOOK_SECONDS = 30
FEWEST_FAILURES = 3  # one request that failed proves nothing
WORST_SHARE = 0.02
WORSE_THAN_BEFORE = 2.0
COUNTED_MOST = 5_000
HEALTH_SECONDS = 30


class Unfit(Exception):
    """The candidate must not serve."""


@dataclass(frozen=True)
class Tally:
    requests: int
    failures: int

    @property
    def share(self) -> float:
        return self.failures / self.requests if self.requests else 0.0

    def worse_than(self, other: "Tally") -> bool:
        allowed = max(WORST_SHARE, WORSE_THAN_BEFORE * other.share)
        return self.failures >= FEWEST_FAILURES and self.share > allowed


@dataclass(frozen=True)
class Split:
    """Who serves now, and the candidate with its own address."""

    candidate: str
    url: str
    stable: str | None

    @classmethod
    def of(cls, service: Any, tag: str) -> "Split":
        targets = service["status"]["traffic"]
        tagged = next((one for one in targets if one.get("tag") == tag), None)
        if tagged is None:
            raise Unfit(f"no revision carries the tag {tag!r}: deploy one first")
        candidate = tagged["revisionName"]
        others = [one for one in targets if one["revisionName"] != candidate and one.get("percent")]
        stable = max(others, key=lambda one: one["percent"], default=None)
        return cls(candidate, tagged["url"], stable and stable["revisionName"])


class Service:
    """A Cloud Run service as gcloud sees it."""

    def __init__(self, name: str, gcloud: Gcloud, region: str) -> None:
        self.name = name
        self._gcloud = gcloud
        self._region = f"--region={region}"

    def split(self, tag: str) -> Split:
        described = self._gcloud.json("run", "services", "describe", self.name, self._region)
        return Split.of(described, tag)

    def assign(self, shares: dict[str, int]) -> None:
        wanted = ",".join(f"{revision}={percent}" for revision, percent in shares.items())
        self._gcloud.text(
            "run", "services", "update-traffic", self.name, self._region, f"--to-revisions={wanted}"
        )
        print(f"traffic: {wanted}", flush=True)

    def tally(self, revision: str, since: datetime) -> Tally:
        asked = (
            'resource.type="cloud_run_revision"'
            f' resource.labels.service_name="{self.name}"'
            f' resource.labels.revision_name="{revision}"'
            ' log_id("run.googleapis.com/requests")'
            f' timestamp>="{since.isoformat(timespec="seconds")}"'
        )
        lines = self._gcloud.json("logging", "read", asked, f"--limit={COUNTED_MOST}") or []
        statuses = [line["httpRequest"]["status"] for line in lines if "httpRequest" in line]
        return Tally(len(statuses), sum(status >= 500 for status in statuses))


@dataclass(frozen=True)
class Watch:
    """How long each step is looked at. Clock, sleep and health are passed in."""

    healthy: Callable[[str], str | None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    seconds: float = WATCH_SECONDS

    def over(self, service: Service, split: Split) -> None:
        """Raises `Unfit` as soon as the candidate is."""
        since = self.now()
        for _ in range(max(1, round(self.seconds / LOOK_SECONDS))):
            self.sleep(min(LOOK_SECONDS, self.seconds))
            self._look(service, split, since)

    def _look(self, service: Service, split: Split, since: datetime) -> None:
        if (unwell := self.healthy(split.url)) is not None:
            raise Unfit(f"{split.candidate} is not healthy: {unwell}")
        ours = service.tally(split.candidate, since)
        theirs = service.tally(split.stable, since) if split.stable else Tally(0, 0)
        print(
            f"  {ours.failures} of {ours.requests} failed; before: {theirs.share:.1%}", flush=True
        )
        if ours.worse_than(theirs):
            raise Unfit(f"{ours.failures} of {ours.requests} requests failed")


def roll_out(service: Service, watch: Watch, steps: Sequence[int], tag: str) -> None:
    """Raises what stopped it, with all traffic where it was."""
    split = service.split(tag)
    if split.stable is None:
        print("nothing else serves: there is nothing to shift step by step")
        service.assign({split.candidate: 100})
        return
    try:
        for percent in steps:
            service.assign(_shares(split, percent))
            watch.over(service, split)
    except BaseException:
        _return(service, split.stable)
        raise


def _shares(split: Split, percent: int) -> dict[str, int]:
    rest = {split.stable: 100 - percent} if split.stable and percent < 100 else {}
    return {split.candidate: percent, **rest}


def _return(service: Service, stable: str) -> None:
    try:
        service.assign({stable: 100})
    except GcloudFailed as failed:
        print(f"NOT ROLLED BACK: {failed}. By hand: gcloud run services update-traffic")
        print(f"  {service.name} --to-revisions={stable}=100")


def healthy(url: str) -> str | None:
    """What is wrong, or None. Strangers may ask, and learn only whether."""
    try:
        with urllib.request.urlopen(f"{url}/health/detailed", timeout=HEALTH_SECONDS):  # noqa: S310  gcloud's own answer
            return None
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)
    except OSError as error:
        return str(error)


def _terminated(*_: object) -> NoReturn:
    raise SystemExit("terminated")


def main() -> None:
    parser = argparse.ArgumentParser(description="Shifts traffic to the candidate in steps.")
    parser.add_argument("service")
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--tag", default="candidate")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--watch-seconds", type=float, default=WATCH_SECONDS)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)  # a cancelled build returns the traffic too
    service = Service(chosen.service, Gcloud([f"--project={chosen.project}"]), chosen.region)
    watch = Watch(healthy, lambda: datetime.now(UTC), time.sleep, chosen.watch_seconds)
    try:
        roll_out(service, watch, chosen.steps, chosen.tag)
    except (Unfit, GcloudFailed) as error:
        sys.exit(f"rolled back: {error}")


if __name__ == "__main__":
    main()
