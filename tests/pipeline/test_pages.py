"""What the pages promise is there: links, make targets, commands of ours, the workflow."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.service import FUNCTIONS

ROOT = FUNCTIONS.parent
RUNBOOKS = sorted((ROOT / "infra" / "terraform" / "runbooks").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "infra" / "OPERATIONS.md",
    ROOT / "infra" / "terraform" / "README.md",
    ROOT / ".github" / "pull_request_template.md",
    *RUNBOOKS,
]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


@every_page
def test_every_make_target_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


@every_page
def test_every_command_of_ours_is_there(page: Path) -> None:
    for module in re.findall(r"-m ((?:pipeline|capacity|care)\.\w+)", page.read_text()):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"infra/pipeline/\w+\.sh", page.read_text()):
        assert (ROOT / script).exists(), script


def test_operations_leads_to_every_runbook() -> None:
    text = (ROOT / "infra" / "OPERATIONS.md").read_text()
    assert RUNBOOKS
    for page in RUNBOOKS:
        assert f"(terraform/runbooks/{page.name})" in text


def test_the_workflow_runs_make_test_on_push_and_pull_request() -> None:
    workflow: Any = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make test"]
    settings = [step.get("with", {}) for step in steps]
    assert [one["python-version"] for one in settings if "python-version" in one] == ["3.11"]
