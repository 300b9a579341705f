"""The vulnerability gate against recorded findings of Artifact Analysis."""

from typing import Any

import pytest

from pipeline.gate import GRAVE, Scan, Undecided, judged
from pipeline.gcloud import Gcloud
from support.recorded import Recorded, Rule, answer

IMAGE = "europe-north2-docker.pkg.dev/p/memory-ops/service@sha256:0"


def finding(status: str = "FINISHED_SUCCESS", **severities: Any) -> str:
    discovery = [{"discovery": {"analysisStatus": status}}]
    return answer(
        {
            "discovery_summary": {"discovery": discovery},
            "package_vulnerability_summary": {"vulnerabilities": severities},
        }
    )


def vulnerability(name: str, mended_in: str | None) -> dict[str, Any]:
    fixed = {"kind": "NORMAL", "fullName": mended_in} if mended_in else {"kind": "MAXIMUM"}
    issue = {"affectedPackage": "openssl", "fixedVersion": fixed}
    return {
        "noteName": f"projects/goog-vulnz/notes/{name}",
        "vulnerability": {"packageIssue": [issue]},
    }


def scan(recorded: Recorded, *answers: str, slept: list[float] | None = None) -> Scan:
    recorded.program("gcloud", Rule(("describe", IMAGE), answers))
    gcloud = Gcloud(program=str(recorded.folder / "gcloud"))
    return Scan(gcloud, IMAGE, ([] if slept is None else slept).append)


def test_an_image_without_findings_passes(recorded: Recorded) -> None:
    found = scan(recorded, finding(LOW=[vulnerability("CVE-1", "2")])).finding()
    assert found == []
    assert judged(found)


@pytest.mark.parametrize("severity", GRAVE)
def test_what_a_newer_package_mends_stops_the_build(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], severity: str
) -> None:
    severities: Any = {severity: [vulnerability("CVE-2026-1", "3.0.20")]}
    found = scan(recorded, finding(**severities)).finding()
    assert not judged(found)
    assert f"{severity} CVE-2026-1 in openssl, mended in 3.0.20" in capsys.readouterr().out


def test_what_nobody_has_mended_is_noted_alone(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judged(scan(recorded, finding(HIGH=[vulnerability("CVE-2026-2", None)])).finding())
    assert "not mended yet" in capsys.readouterr().out


def test_it_waits_for_the_finding(recorded: Recorded) -> None:
    slept: list[float] = []
    waiting = scan(recorded, answer({}), finding("SCANNING"), finding(), slept=slept)
    assert waiting.finding() == []
    assert len(slept) == 2


@pytest.mark.parametrize("status", ["FINISHED_FAILED", "FINISHED_UNSUPPORTED"])
def test_a_scan_that_failed_passes_nothing(recorded: Recorded, status: str) -> None:
    with pytest.raises(Undecided, match=status):
        scan(recorded, finding(status)).finding()


def test_no_finding_in_time_passes_nothing(recorded: Recorded) -> None:
    with pytest.raises(Undecided, match="30 seconds"):
        scan(recorded, finding("SCANNING")).finding(wait_seconds=30)
