"""cloudbuild.yaml and the Dockerfile against what they name."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings
from support.service import FUNCTIONS

ROOT = FUNCTIONS.parent
BUILT_IN = {"PROJECT_ID", "COMMIT_SHA", "BUILD_ID", "LOCATION"}
AFTER_THE_PLAN = {"turn", "apply", "candidate", "smoke", "retriever", "traffic", "cleanup"}

Step = dict[str, Any]


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def steps(build: dict[str, Any]) -> dict[str, Step]:
    return {step["id"]: step for step in build["steps"]}


def words(step: Step) -> str:
    return " ".join(step["args"])


def before(name: str, steps: dict[str, Step]) -> set[str]:
    """All that has to be through before a step begins."""
    waited = {one for one in steps[name]["waitFor"] if one != "-"}
    return waited.union(*(before(one, steps) for one in waited))


def test_every_substitution_is_declared_and_used(build: dict[str, Any]) -> None:
    text = re.sub(r"#.*", "", (ROOT / "cloudbuild.yaml").read_text())
    used = set(re.findall(r"(?<!\$)\$\{?([A-Z_]+)", text))
    declared = set(build["substitutions"])
    assert used - BUILT_IN <= declared
    assert declared <= used
    assert all(name.startswith("_") for name in declared)


def test_every_script_is_there_and_runs(steps: dict[str, Step]) -> None:
    named = {name for step in steps.values() for name in re.findall(r"infra/\S+\.sh", words(step))}
    assert named >= {"infra/pipeline/image.sh", "infra/pipeline/terraform.sh"}
    for script in named:
        assert (ROOT / script).stat().st_mode & 0o111, script


def test_what_comes_after_the_plan_is_a_releases_alone(steps: dict[str, Step]) -> None:
    guarded = {name for name, step in steps.items() if "infra/pipeline/release.sh" in words(step)}
    assert guarded == AFTER_THE_PLAN == {name for name in steps if "plan" in before(name, steps)}


def test_one_release_goes_on_at_a_time(steps: dict[str, Step]) -> None:
    changing = AFTER_THE_PLAN - {"turn"}
    assert all("turn" in before(name, steps) for name in changing)


def test_no_step_of_several_commands_goes_on_after_one_that_failed(steps: dict[str, Step]) -> None:
    given = [step["args"][1] for step in steps.values() if step["args"][0] == "-c"]
    assert given
    assert not [text for text in given if "\n" in text.strip()]


def test_nothing_is_released_unless_checked_and_scanned(steps: dict[str, Step]) -> None:
    assert before("apply", steps) >= {"checks", "image", "vulnerabilities", "plan"}


def test_traffic_shifts_after_the_smoke_test_and_the_retriever(steps: dict[str, Step]) -> None:
    assert before("traffic", steps) >= {"candidate", "smoke", "retriever"}
    assert "traffic" in before("cleanup", steps)


def test_a_build_that_is_not_told_otherwise_changes_nothing(build: dict[str, Any]) -> None:
    assert build["substitutions"]["_STAGE"] == "pull-request"
    assert build["options"]["requestedVerifyOption"] == "VERIFIED"


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (FUNCTIONS / "Dockerfile").read_text()


def test_the_image_knows_no_settings_but_the_frameworks(dockerfile: str) -> None:
    told = set(re.findall(r"^\s*(?:ENV )?([A-Z_]+)=", dockerfile, re.MULTILINE))
    assert "FUNCTION_TARGET" in told
    assert not told & {name.upper() for name in Settings.model_fields}


def test_the_image_runs_as_nobody_and_on_the_tested_python(dockerfile: str) -> None:
    assert "USER 65534:65534" in dockerfile
    assert set(re.findall(r"^FROM python:(\S+)", dockerfile, re.MULTILINE)) == {"3.11-slim"}


@pytest.mark.parametrize("heavy", ["torch", "transformers", "peft", "modal"])
def test_no_torch_gets_in(heavy: str) -> None:
    lines = (FUNCTIONS / "requirements.txt").read_text().splitlines()
    assert not [line for line in lines if line.startswith(heavy)]


def test_what_is_a_laptops_stays_out(tmp_path: Path) -> None:
    ignored = (FUNCTIONS / ".dockerignore").read_text().split()
    assert {".env", ".local", "serve.py", "**/__pycache__", "**/*.db*"} <= set(ignored)
