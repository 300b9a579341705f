"""The steps' scripts with recorded programs: what they call, and when they stop."""

import subprocess
from pathlib import Path

import pytest

from support.recorded import Recorded, Rule, answer
from support.service import FUNCTIONS

ROOT = FUNCTIONS.parent
SCRIPTS = ROOT / "infra" / "pipeline"
DIGEST = "europe-north2-docker.pkg.dev/p/memory-ops/service@sha256:abc"
TAGGED = "europe-north2-docker.pkg.dev/p/memory-ops/service:c0ffee"


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    file = tmp_path / "image.txt"
    file.write_text(f"{DIGEST}\n")
    return file


def run(recorded: Recorded, script: str, *arguments: str, **settings: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", str(SCRIPTS / script), *arguments],
        env=recorded.environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_stops_at_the_first_thing_that_fails(script: Path) -> None:
    commands = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    assert commands[0] == "set -euo pipefail"


def test_a_commit_is_built_once(recorded: Recorded, tmp_path: Path) -> None:
    file = tmp_path / "digest"
    recorded.program("docker", Rule(("inspect",), (f"{DIGEST}\n",)))
    assert run(recorded, "image.sh", str(file), TAGGED=TAGGED, STAGE="release")[0] == 0
    assert file.read_text() == f"{DIGEST}\n"
    assert [call[0] for call in recorded.calls("docker")] == ["pull", "inspect"]


def test_a_new_commit_is_built_and_pushed(recorded: Recorded, tmp_path: Path) -> None:
    inspected = Rule(("inspect",), (f"{DIGEST}\n",))
    recorded.program("docker", Rule(("pull", "--quiet"), status=1), inspected)
    settings = {"TAGGED": TAGGED, "STAGE": "plan"}
    assert run(recorded, "image.sh", str(tmp_path / "digest"), **settings)[0] == 0
    calls = recorded.calls("docker")
    assert [call[0] for call in calls] == ["pull", "build", "push", "inspect"]
    assert calls[1][-1] == "functions"


def test_a_release_builds_nothing_that_was_not_planned(recorded: Recorded, tmp_path: Path) -> None:
    recorded.program("docker", Rule(("pull", "--quiet"), status=1))
    settings = {"TAGGED": TAGGED, "STAGE": "release"}
    assert run(recorded, "image.sh", str(tmp_path / "digest"), **settings)[0] != 0
    assert [call[0] for call in recorded.calls("docker")] == ["pull"]


def test_an_image_without_a_digest_stops_the_build(recorded: Recorded, tmp_path: Path) -> None:
    recorded.program("docker", Rule(("inspect",), ("\n",)))
    settings = {"TAGGED": TAGGED, "STAGE": "plan"}
    assert run(recorded, "image.sh", str(tmp_path / "digest"), **settings)[0] != 0


@pytest.mark.parametrize("mended_in", [None, "3.0.20"])
def test_a_gate_that_refuses_ends_the_build(
    recorded: Recorded, image_file: Path, mended_in: str | None
) -> None:
    recorded.program("gcloud", Rule(("describe",), (answer(found(mended_in)),)))
    status, said = run(recorded, "vulnerabilities.sh", PROJECT="p", IMAGE_FILE=str(image_file))
    exported = [call for call in recorded.calls("gcloud") if "sbom" in call]
    assert (status == 0, bool(exported)) == (mended_in is None, mended_in is None)
    assert "CVE-2026-1" in said


def found(mended_in: str | None) -> dict[str, object]:
    """As `gcloud artifacts docker images describe` tells of one grave vulnerability."""
    fixed = {"kind": "NORMAL", "fullName": mended_in} if mended_in else {"kind": "MAXIMUM"}
    issue = {"affectedPackage": "openssl", "fixedVersion": fixed}
    told = {"shortDescription": "CVE-2026-1", "packageIssue": [issue]}
    return {
        "discovery_summary": {"discovery": [{"discovery": {"analysisStatus": "FINISHED_SUCCESS"}}]},
        "package_vulnerability_summary": {"vulnerabilities": {"HIGH": [{"vulnerability": told}]}},
    }


def terraform(recorded: Recorded, verb: str, image_file: Path) -> tuple[int, str]:
    return run(
        recorded,
        "terraform.sh",
        verb,
        STATE_BUCKET="p-memory-ops-state",
        ENVIRONMENT="staging",
        COMMIT="c0ffee",
        IMAGE_FILE=str(image_file),
        TERRAFORM_FOLDER=str(image_file.parent),
    )


def test_what_is_planned_is_kept_under_its_commit(recorded: Recorded, image_file: Path) -> None:
    recorded.program("terraform", Rule(("show",), ("Plan: 1 to add\n",)))
    recorded.program("gcloud")
    assert terraform(recorded, "plan", image_file)[0] == 0
    init, plan, _ = recorded.calls("terraform")
    assert "-backend-config=bucket=p-memory-ops-state" in init
    assert f"-var=image={DIGEST}" in plan
    assert "-var-file=environments/staging.tfvars" in plan
    assert recorded.calls("gcloud")[0][-1] == "gs://p-memory-ops-state/plans/staging/c0ffee/"
    assert (image_file.parent / "plan.txt").read_text() == "Plan: 1 to add\n"


def test_a_plan_that_fails_is_not_kept(recorded: Recorded, image_file: Path) -> None:
    recorded.program("terraform", Rule(("-out=plan.bin",), status=1))
    recorded.program("gcloud")
    assert terraform(recorded, "plan", image_file)[0] != 0
    assert recorded.calls("gcloud") == []


def test_what_is_applied_is_what_was_planned(recorded: Recorded, image_file: Path) -> None:
    recorded.program("terraform")
    recorded.program("gcloud")
    assert terraform(recorded, "apply", image_file)[0] == 0
    kept = "gs://p-memory-ops-state/plans/staging/c0ffee/plan.bin"
    assert recorded.calls("gcloud") == [["storage", "cp", kept, "plan.bin"]]
    assert [call[0] for call in recorded.calls("terraform")] == ["init", "apply"]
    assert recorded.calls("terraform")[1][-1] == "plan.bin"


def test_without_a_plan_nothing_is_applied(recorded: Recorded, image_file: Path) -> None:
    recorded.program("terraform")
    recorded.program("gcloud", Rule(("storage",), status=1))
    assert terraform(recorded, "apply", image_file)[0] != 0
    assert [call[0] for call in recorded.calls("terraform")] == ["init"]


def test_another_verb_changes_nothing(recorded: Recorded, image_file: Path) -> None:
    recorded.program("terraform")
    assert terraform(recorded, "destroy", image_file)[0] == 2
    assert [call[0] for call in recorded.calls("terraform")] == ["init"]


def deployed(
    recorded: Recorded, how: str, image_file: Path, *rules: Rule
) -> tuple[int, list[list[str]]]:
    recorded.program("gcloud", *rules)
    settings = {"PROJECT": "p", "REGION": "r", "IMAGE_FILE": str(image_file)}
    status, _ = run(recorded, "deploy.sh", how, "memory-ops-gateway", **settings)
    return status, recorded.calls("gcloud")


NAMED = Rule(("describe",), ("gateway-00008-new\n",))


def test_a_candidate_gets_no_traffic(recorded: Recorded, image_file: Path) -> None:
    status, (update, _, tag) = deployed(recorded, "candidate", image_file, NAMED)
    assert status == 0
    assert {f"--image={DIGEST}", "--no-traffic"} <= set(update)
    assert "--update-tags=candidate=gateway-00008-new" in tag
    assert not [word for word in tag if word.startswith("--to-")]


def test_a_candidates_revision_is_named_by_cloud_run(recorded: Recorded, image_file: Path) -> None:
    """gcloud names it where it tags it: Terraform's next change would be of the same name."""
    _, (update, *_) = deployed(recorded, "candidate", image_file, NAMED)
    assert not [word for word in update if word.startswith(("--tag", "--revision-suffix"))]


@pytest.mark.parametrize("failing", ["update", "describe", "update-traffic"])
def test_a_deployment_that_fails_midway_stops(
    recorded: Recorded, image_file: Path, failing: str
) -> None:
    rules = (Rule((failing,), status=1), NAMED)
    status, calls = deployed(recorded, "candidate", image_file, *rules)
    assert status != 0
    assert calls[-1][2] == failing


def test_a_revision_without_a_name_is_not_tagged(recorded: Recorded, image_file: Path) -> None:
    status, calls = deployed(recorded, "candidate", image_file)
    assert (status != 0, calls[-1][2]) == (True, "describe")


def test_the_cleanup_serves_at_once(recorded: Recorded, image_file: Path) -> None:
    status, (update, traffic) = deployed(recorded, "now", image_file)
    assert status == 0
    assert "--no-traffic" not in update
    assert traffic[2] == "update-traffic"
    assert "--to-latest" in traffic


def test_neither_is_not_deployed(recorded: Recorded, image_file: Path) -> None:
    assert deployed(recorded, "later", image_file) == (2, [])


@pytest.mark.parametrize(("stage", "ran"), [("release", True), ("plan", False), ("x", False)])
def test_only_a_release_runs_on(recorded: Recorded, stage: str, ran: bool) -> None:
    recorded.program("gcloud")
    status, said = run(recorded, "release.sh", "gcloud", "run", STAGE=stage)
    assert (status, recorded.calls("gcloud")) == (0, [["run"]] if ran else [])
    assert ran or "not gcloud run" in said


def test_without_a_stage_nothing_runs(recorded: Recorded) -> None:
    recorded.program("gcloud")
    assert run(recorded, "release.sh", "gcloud", "run")[0] != 0
    assert recorded.calls("gcloud") == []


def test_without_a_tier_nothing_is_deployed_to_modal(recorded: Recorded) -> None:
    recorded.program("gcloud")
    status, said = run(recorded, "retriever.sh", PROJECT="p", NAME="memory-ops", RETRIEVER_MODEL="")
    assert (status, recorded.calls("gcloud")) == (0, [])
    assert "no GPU tier" in said


def test_without_modals_token_nothing_is_installed(recorded: Recorded) -> None:
    recorded.program("gcloud", Rule(("secrets", "access"), status=1))
    recorded.program("python3")
    settings = {"PROJECT": "p", "NAME": "memory-ops", "RETRIEVER_MODEL": "m"}
    assert run(recorded, "retriever.sh", **settings)[0] != 0
    assert recorded.calls("python3") == []


@pytest.mark.parametrize("word", ["RETRIEVER_GPU", "--help", "RETRIEVER_GPU=", "-i A=1"])
def test_what_is_no_setting_of_the_tier_is_refused(recorded: Recorded, word: str) -> None:
    recorded.program("gcloud")
    settings = {"PROJECT": "p", "NAME": "n", "RETRIEVER_MODEL": "m", "RETRIEVER_SETTINGS": word}
    assert run(recorded, "retriever.sh", **settings)[0] == 2
    assert recorded.calls("gcloud") == []


def test_the_tiers_settings_reach_its_deployment(recorded: Recorded) -> None:
    recorded.program("gcloud")
    recorded.program("python3")
    installed = recorded.folder / "modal" / "bin"
    installed.mkdir(parents=True)
    Recorded(installed).program("pip")
    modal = installed / "modal"
    modal.write_text('#!/bin/sh\necho "$RETRIEVER_GPU $RETRIEVER_MIN_CONTAINERS $MODEL_NAME"\n')
    modal.chmod(0o755)
    told = "RETRIEVER_GPU=L4,T4 RETRIEVER_MIN_CONTAINERS=1"
    settings = {"PROJECT": "p", "NAME": "n", "RETRIEVER_MODEL": "m", "RETRIEVER_SETTINGS": told}
    assert run(recorded, "retriever.sh", **settings) == (0, "L4,T4 1 m\n")


def test_the_tier_is_deployed_with_the_token_in_its_environment_alone(recorded: Recorded) -> None:
    secret = Rule(("secrets", "access"), ("ak-canary", "as-canary"))
    recorded.program("gcloud", secret)
    recorded.program("python3")
    installed = Recorded(recorded.folder / "modal" / "bin")
    installed.folder.mkdir(parents=True)
    for name in ("pip", "modal"):
        installed.program(name)
    settings = {"PROJECT": "p", "NAME": "memory-ops", "RETRIEVER_MODEL": "m"}
    status, said = run(recorded, "retriever.sh", **settings)
    assert (status, installed.calls("modal")) == (0, [["deploy", "gpu/app.py"]])
    assert installed.calls("pip")[0][-1].startswith("modal==")
    assert "canary" not in said
    named = [word for call in recorded.calls("gcloud") for word in call]
    assert {"--secret=memory-ops-modal-token-id", "--secret=memory-ops-modal-token-secret"} <= set(
        named
    )


def test_the_smoke_test_signs_in_for_the_gateways_own_client(recorded: Recorded) -> None:
    traffic = [{"tag": "candidate", "url": "http://127.0.0.1:9"}]
    recorded.program(
        "gcloud",
        Rule(("describe",), (answer({"status": {"traffic": traffic}}),)),
        Rule(("print-identity-token",), ("a.b.c\n",)),
    )
    settings = {"PROJECT": "p", "REGION": "r", "NAME": "n", "DEPLOYER": "d@p"}
    settings["CLIENT_ID"] = "me.apps"
    status, said = run(recorded, "smoke.sh", "memory-ops-gateway", **settings)
    assert status == 1
    assert said.count("FAILED") == 3
    token = recorded.calls("gcloud")[1]
    assert {"--audiences=me.apps", "--impersonate-service-account=d@p"} <= set(token)


def test_without_a_client_id_it_signs_in_by_an_api_key(recorded: Recorded) -> None:
    traffic = [{"tag": "candidate", "url": "http://127.0.0.1:9"}]
    recorded.program(
        "gcloud",
        Rule(("describe",), (answer({"status": {"traffic": traffic}}),)),
        Rule(("secrets", "access"), ("smoke-canary\n",)),
    )
    settings = {"PROJECT": "p", "REGION": "r", "NAME": "memory-ops", "CLIENT_ID": ""}
    status, said = run(recorded, "smoke.sh", "memory-ops-gateway", **settings)
    assert status == 1
    assert said.count("FAILED") == 3
    assert "--secret=memory-ops-smoke-key" in recorded.calls("gcloud")[1]
    assert "canary" not in said


def test_without_any_credential_there_is_no_smoke_test(recorded: Recorded) -> None:
    traffic = [{"tag": "candidate", "url": "http://127.0.0.1:9"}]
    described = Rule(("describe",), (answer({"status": {"traffic": traffic}}),))
    recorded.program("gcloud", described, Rule(("secrets", "access"), status=1))
    settings = {"PROJECT": "p", "REGION": "r", "NAME": "n", "CLIENT_ID": ""}
    status, said = run(recorded, "smoke.sh", "g", **settings)
    assert status != 0
    assert "health" not in said
