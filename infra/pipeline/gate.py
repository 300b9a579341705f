"""Stops a build whose image has a grave vulnerability that a newer package would mend.

    PYTHONPATH=infra python -m pipeline.gate IMAGE@sha256:... --project P

Artifact Analysis scans what is pushed to the registry; this waits for its finding. What nobody has
mended yet is listed and lets the build pass: it would stop every build until somebody does.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.gcloud import Gcloud, GcloudFailed

GRAVE = ("CRITICAL", "HIGH")
WAIT_SECONDS = 600
LOOK_SECONDS = 15
FINISHED = "FINISHED_SUCCESS"


class Undecided(Exception):
    """The scan failed, or told nothing in time."""


@dataclass(frozen=True)
class Vulnerability:
    severity: str
    name: str
    package: str
    mended_in: str | None

    def __str__(self) -> str:
        mended = f"mended in {self.mended_in}" if self.mended_in else "not mended yet"
        return f"{self.severity} {self.name} in {self.package}, {mended}"


class Scan:
    def __init__(self, gcloud: Gcloud, image: str, sleep: Callable[[float], None]) -> None:
        self._gcloud = gcloud
        self._image = image
        self._sleep = sleep

    def finding(self, wait_seconds: float = WAIT_SECONDS) -> list[Vulnerability]:
        for _ in range(max(1, round(wait_seconds / LOOK_SECONDS))):
            described = self._gcloud.json(
                "artifacts", "docker", "images", "describe", self._image,
                "--show-package-vulnerability",
            )  # fmt: skip
            status = _status(described)
            if status == FINISHED:
                return list(_vulnerabilities(described))
            if status.startswith("FINISHED"):
                raise Undecided(f"the scan ended with {status}")
            self._sleep(LOOK_SECONDS)
        raise Undecided(f"no finding within {wait_seconds:g} seconds")


def _status(described: Any) -> str:
    """Of the newest scan; empty before there is one."""
    found = (described.get("discovery_summary") or {}).get("discovery") or []
    statuses = [one.get("discovery", {}).get("analysisStatus", "") for one in found]
    return FINISHED if FINISHED in statuses else next(iter(statuses), "")


def _vulnerabilities(described: Any) -> Iterator[Vulnerability]:
    summary = described.get("package_vulnerability_summary") or {}
    for severity in GRAVE:
        for one in (summary.get("vulnerabilities") or {}).get(severity, []):
            told = one["vulnerability"]
            name = told.get("shortDescription") or one["noteName"].rpartition("/")[2]
            for issue in told["packageIssue"]:
                fixed = issue.get("fixedVersion", {})
                mended = fixed.get("fullName") if fixed.get("kind") == "NORMAL" else None
                yield Vulnerability(severity, name, issue["affectedPackage"], mended)


def judged(found: list[Vulnerability]) -> bool:
    """Whether the image may go on. Prints what was found."""
    for one in found:
        print(f"{'STOPS   ' if one.mended_in else 'noted   '}{one}")
    stopping = sum(one.mended_in is not None for one in found)
    print(f"{len(found)} grave vulnerabilities, {stopping} of them mended in a newer package")
    return not stopping


def main() -> None:
    parser = argparse.ArgumentParser(description="Refuses an image with mendable vulnerabilities.")
    parser.add_argument("image", help="by digest")
    parser.add_argument("--project", required=True)
    chosen = parser.parse_args()
    scan = Scan(Gcloud([f"--project={chosen.project}"]), chosen.image, time.sleep)
    try:
        if not judged(scan.finding()):
            sys.exit(1)
    except (Undecided, GcloudFailed) as error:
        sys.exit(f"not known to be sound: {error}")


if __name__ == "__main__":
    main()
