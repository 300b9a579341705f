"""One release at a time, by what a recorded gcloud says is under way."""

import pytest

from pipeline.gcloud import Gcloud, GcloudFailed
from pipeline.turn import Occupied, take
from support.recorded import Recorded, Rule, answer


def build(
    name: str, at: str, stage: str = "release", environment: str = "production"
) -> dict[str, object]:
    told = {"_STAGE": stage, "_ENVIRONMENT": environment}
    time = f"2026-11-21T10:{at}Z"
    return {"id": name, "createTime": time, "startTime": time, "substitutions": told}


def asked(recorded: Recorded, *under_way: dict[str, object]) -> None:
    recorded.program("gcloud", Rule(("list",), (answer(list(under_way)),)))
    take(Gcloud(program=str(recorded.folder / "gcloud")), "ours", "production", "europe-west1")


def test_a_release_that_is_alone_goes_on(recorded: Recorded) -> None:
    asked(recorded, build("ours", "05:00"))
    assert "--region=europe-west1" in recorded.calls("gcloud")[0]


def test_builds_that_release_nothing_here_are_in_nobodys_way(recorded: Recorded) -> None:
    manual: dict[str, object] = {"id": "x", "createTime": "2026-11-21T09:00:00Z"}
    plan = build("y", "01:00", stage="plan")
    staging = build("z", "01:00", environment="staging")
    asked(recorded, manual, plan, staging, build("ours", "05:00"))


def test_the_second_of_two_stops_and_says_for_which(recorded: Recorded) -> None:
    with pytest.raises(Occupied, match="release theirs is under way"):
        asked(recorded, build("ours", "05:00"), build("theirs", "04:59"))


def test_the_first_of_two_goes_on(recorded: Recorded) -> None:
    asked(recorded, build("theirs", "05:01"), build("ours", "05:00"))


@pytest.mark.parametrize(("other", "goes_on"), [("zz", True), ("aa", False)])
def test_of_two_of_one_moment_exactly_one_goes_on(
    recorded: Recorded, other: str, goes_on: bool
) -> None:
    under_way = (build("ours", "05:00"), build(other, "05:00"))
    if goes_on:
        asked(recorded, *under_way)
    else:
        with pytest.raises(Occupied):
            asked(recorded, *under_way)


def test_a_list_without_this_build_is_another_regions(recorded: Recorded) -> None:
    with pytest.raises(Occupied, match="not among"):
        asked(recorded)


def test_what_cannot_be_known_stops_the_release(recorded: Recorded) -> None:
    recorded.program("gcloud", Rule(("list",), status=1))
    with pytest.raises(GcloudFailed):
        take(Gcloud(program=str(recorded.folder / "gcloud")), "ours", "production", "r")
