"""What the triggers and the files of variables hand over, against what takes it."""

import re
from pathlib import Path

import pytest

from support.terraform import CONFIGURATION, Outcome

ROOT = CONFIGURATION.parents[1]
SUBSTITUTION = re.compile(r"^  (_[A-Z_]+):", re.MULTILINE)
ASSIGNED = re.compile(r"^(?:# )?(\w+)\s*= ", re.MULTILINE)


def declared(folder: Path) -> set[str]:
    text = "".join(file.read_text() for file in folder.glob("variables*.tf"))
    return set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))


def test_a_trigger_substitutes_what_the_build_knows(tested: Outcome) -> None:
    known = set(SUBSTITUTION.findall((ROOT / "cloudbuild.yaml").read_text()))
    triggers = [
        values
        for address, values in tested.made["services"].items()
        if address.startswith("google_cloudbuild_trigger.")
    ]
    assert len(triggers) == 3
    for trigger in triggers:
        assert trigger["substitutions"].keys() <= known
        assert trigger["filename"] == "cloudbuild.yaml"


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_file_of_variables_sets_what_is_declared(environment: str) -> None:
    text = (CONFIGURATION / "environments" / f"{environment}.tfvars").read_text()
    set_here = set(ASSIGNED.findall(text))
    assert {"environment", "project", "google_client_id"} <= set_here
    assert set_here <= declared(CONFIGURATION)
    assert re.search(rf'^environment\s*= "{environment}"', text, re.MULTILINE)


def test_the_bootstrap_takes_the_same_names() -> None:
    assert declared(CONFIGURATION / "bootstrap") <= declared(CONFIGURATION)
