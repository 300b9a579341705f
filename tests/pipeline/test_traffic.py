"""The traffic script against a recorded gcloud: step by step to the candidate, or back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.gcloud import Gcloud, GcloudFailed
from pipeline.traffic import STEPS, Service, Split, Tally, Unfit, Watch, healthy, roll_out
from support.recorded import Recorded, Rule, answer
from support.upstream import Answer, LoopbackUpstream, closed_port

OLD, NEW = "gateway-00007-old", "gateway-00008-new"
URL = "https://candidate---gateway.example"
BACK = f"--to-revisions={OLD}=100"


def target(revision: str, percent: int = 0, tag: str = "") -> dict[str, Any]:
    tagged = {"tag": tag, "url": URL} if tag else {}
    return {"revisionName": revision, **({"percent": percent} if percent else {}), **tagged}


def described(*targets: dict[str, Any]) -> Rule:
    return Rule(("describe",), (answer({"status": {"traffic": targets}}),))


def logged(revision: str, *statuses: int) -> Rule:
    lines = [{"httpRequest": {"status": status}} for status in statuses]
    return Rule(("read", revision), (answer(lines),))


SPLIT = described(target(OLD, percent=100), target(NEW, tag="candidate"))


class Bench:
    """A watch whose clock moves as it sleeps, and a health that says what it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, tzinfo=UTC)
        self.unwell: list[str | None] = []

    def watch(self) -> Watch:
        return Watch(self._healthy, lambda: self.now, self._sleep, seconds=60)

    def _healthy(self, url: str) -> str | None:
        assert url == URL
        return self.unwell.pop(0) if self.unwell else None

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def service(recorded: Recorded) -> Service:
    gcloud = Gcloud(["--project=p"], program=str(recorded.folder / "gcloud"))
    return Service("gateway", gcloud, "europe-north2")


def assigned(recorded: Recorded) -> list[str]:
    calls = recorded.calls("gcloud")
    return [word for call in calls for word in call if word.startswith("--to-revisions=")]


def test_traffic_moves_in_three_steps(recorded: Recorded, service: Service, bench: Bench) -> None:
    recorded.program("gcloud", SPLIT, logged(NEW, 200, 429), logged(OLD, 200))
    roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded) == [
        f"--to-revisions={NEW}=10,{OLD}=90",
        f"--to-revisions={NEW}=50,{OLD}=50",
        f"--to-revisions={NEW}=100",
    ]
    described = next(call for call in recorded.calls("gcloud") if "describe" in call)
    assert {"--region=europe-north2", "--project=p", "--quiet", "--format=json"} <= set(described)


def test_errors_bring_it_back(recorded: Recorded, service: Service, bench: Bench) -> None:
    recorded.program("gcloud", SPLIT, logged(NEW, 500, 500, 503, 200), logged(OLD, 200, 200))
    with pytest.raises(Unfit, match="3 of 4"):
        roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded) == [f"--to-revisions={NEW}=10,{OLD}=90", BACK]


def test_an_outage_that_both_suffer_is_not_the_candidates(
    recorded: Recorded, service: Service, bench: Bench
) -> None:
    recorded.program("gcloud", SPLIT, logged(NEW, *[502] * 5, *[200] * 5), logged(OLD, 502, 200))
    roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded)[-1] == f"--to-revisions={NEW}=100"


def test_two_failures_prove_nothing(recorded: Recorded, service: Service, bench: Bench) -> None:
    recorded.program("gcloud", SPLIT, logged(NEW, 500, 500), logged(OLD))
    roll_out(service, bench.watch(), [10], "candidate")
    assert BACK not in assigned(recorded)


def test_a_candidate_that_falls_ill_later_is_taken_back(
    recorded: Recorded, service: Service, bench: Bench
) -> None:
    recorded.program("gcloud", SPLIT, logged(NEW), logged(OLD))
    bench.unwell = [None, None, None, "503"]
    with pytest.raises(Unfit, match="503"):
        roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded)[-2:] == [f"--to-revisions={NEW}=50,{OLD}=50", BACK]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_brings_it_back(
    recorded: Recorded,
    service: Service,
    bench: Bench,
    interruption: type[BaseException],
) -> None:
    recorded.program("gcloud", SPLIT)

    def interrupted(_: float) -> None:
        raise interruption

    watch = Watch(lambda _: None, lambda: bench.now, interrupted, 60)
    with pytest.raises(interruption):
        roll_out(service, watch, STEPS, "candidate")
    assert assigned(recorded)[-1] == BACK


def test_a_gcloud_that_fails_halfway_brings_it_back(
    recorded: Recorded, service: Service, bench: Bench
) -> None:
    recorded.program("gcloud", SPLIT, Rule((f"{NEW}=50",), status=1), logged(NEW), logged(OLD))
    with pytest.raises(GcloudFailed, match="recorded failure"):
        roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded)[-1] == BACK


def test_a_way_back_that_is_barred_is_told(
    recorded: Recorded, service: Service, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.program("gcloud", SPLIT, Rule((BACK,), status=1), logged(NEW), logged(OLD))
    bench.unwell = ["503"]
    with pytest.raises(Unfit):
        roll_out(service, bench.watch(), STEPS, "candidate")
    assert f"gateway {BACK}" in capsys.readouterr().out


def test_the_first_revision_of_all_serves_at_once(
    recorded: Recorded, service: Service, bench: Bench
) -> None:
    recorded.program("gcloud", described(target(NEW, percent=100, tag="candidate")))
    roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded) == [f"--to-revisions={NEW}=100"]


def test_without_a_candidate_nothing_moves(
    recorded: Recorded, service: Service, bench: Bench
) -> None:
    recorded.program("gcloud", described(target(OLD, percent=100)))
    with pytest.raises(Unfit, match="candidate"):
        roll_out(service, bench.watch(), STEPS, "candidate")
    assert assigned(recorded) == []


def test_a_run_that_was_cut_short_goes_back_to_who_serves_most() -> None:
    traffic = [target(OLD, 60), target("other", 30), target(NEW, 10, "candidate")]
    assert Split.of({"status": {"traffic": traffic}}, "candidate") == Split(NEW, URL, OLD)


def test_no_requests_are_no_errors() -> None:
    assert not Tally(0, 0).worse_than(Tally(0, 0))
    assert Tally(100, 3).worse_than(Tally(0, 0))
    assert not Tally(1000, 3).worse_than(Tally(0, 0))


def test_health_is_asked_of_the_candidate_itself() -> None:
    with LoopbackUpstream() as server:
        origin = server.base_url.removesuffix("/v1")
        server.default = lambda _: Answer.json({"status": "healthy"})
        assert healthy(origin) is None
        server.default = lambda _: Answer.json({"status": "unhealthy"}, status=503)
        assert healthy(origin) == "503"
    assert healthy(f"http://127.0.0.1:{closed_port()}") is not None
