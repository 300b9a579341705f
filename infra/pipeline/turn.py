"""One release at a time: stops this one while another of the same environment is under way.

    PYTHONPATH=infra python -m pipeline.turn BUILD --environment production --project P --region R

Two at once would move the candidate's tag and the traffic from under each other. Of two that began
together the earlier goes on: Cloud Build's list is the same for both. A build that ended, whatever
way, holds nobody up, so there is no lock to be left behind.
"""

import argparse
import sys
from typing import Any

from pipeline.gcloud import Gcloud, GcloudFailed

UNDER_WAY = "status=WORKING"


class Occupied(Exception):
    """Another release was there first."""


def take(gcloud: Gcloud, build: str, environment: str, region: str) -> None:
    """Raises Occupied; GcloudFailed where it cannot be known."""
    listed = gcloud.json("builds", "list", f"--region={region}", f"--filter={UNDER_WAY}") or []
    releases = sorted((one for one in listed if _is_release(one, environment)), key=_began)
    if build not in {one["id"] for one in releases}:
        raise Occupied(f"build {build} is not among the releases of {region} that are under way")
    if releases[0]["id"] != build:
        raise Occupied(f"release {releases[0]['id']} is under way: start this one after it")


def _is_release(build: dict[str, Any], environment: str) -> bool:
    told = build.get("substitutions", {})
    return (told.get("_STAGE"), told.get("_ENVIRONMENT")) == ("release", environment)


def _began(build: dict[str, Any]) -> tuple[str, str]:
    return build.get("startTime", build["createTime"]), build["id"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Stops a release while another is under way.")
    parser.add_argument("build")
    parser.add_argument("--environment", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", required=True, help="the builds'")
    chosen = parser.parse_args()
    try:
        take(
            Gcloud([f"--project={chosen.project}"]),
            chosen.build,
            chosen.environment,
            chosen.region,
        )
    except (Occupied, GcloudFailed) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
