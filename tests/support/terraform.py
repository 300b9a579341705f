"""Terraform for real and offline: its own binary, with providers that know a schema and no cloud.

The providers come from a tool that comes with no package; `MEMORY_OPS_TFSCHEMA` names its script.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "MEMORY_OPS_TFSCHEMA"
CONFIGURATION = Path(__file__).parents[2] / "infra" / "terraform"
NAMED_TYPES = re.compile(r'\b(?:resource|data|mock_resource|mock_data)\s+"(\w+)"')
LIMIT_SECONDS = 110

Resource = dict[str, Any]


class TerraformMissing(Exception):
    """Terraform or the tool is not on this machine; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What `terraform test` said: each run's end, what failed, and what the applied runs made."""

    runs: dict[str, str]
    complaints: list[str]
    made: dict[str, dict[str, Resource]]

    @property
    def passed(self) -> bool:
        return bool(self.runs) and set(self.runs.values()) == {"pass"}


class Terraform:
    """Works on a copy of `configuration` in `folder`, where it may be changed."""

    def __init__(self, folder: Path, configuration: Path = CONFIGURATION) -> None:
        """Raises TerraformMissing."""
        self._tool = os.environ.get(VARIABLE, "")
        if not Path(self._tool).is_file():
            raise TerraformMissing(f"set {VARIABLE} to the path of tfschema.py")
        if not shutil.which("terraform"):
            raise TerraformMissing("install terraform 1.9 or newer")
        self._work = folder / "work"
        self.copy = self._work / "config"
        self._given = shutil.copytree(
            configuration, folder / "given", ignore=shutil.ignore_patterns(".terraform*")
        )

    def change(self, file: str, old: str, new: str) -> None:
        """Before `validate`. The text must be there: else nothing would be proved."""
        path = self._given / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new))

    def validate(self) -> str:
        """Formatting, `init`, `validate`: what was complained of, empty when nothing was."""
        tool: list[str | Path] = [sys.executable, self._tool, "validate"]
        command = [*tool, self._given, "--keep", self._work]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        return done.stdout + done.stderr if done.returncode else ""

    def test(self, *files: str) -> Outcome:
        """After `validate`; all test files, or those given."""
        command = ["terraform", "test", "-json", "-verbose"]
        command += [f"-filter=tests/{file}.tftest.hcl" for file in files]
        done = subprocess.run(
            command,
            cwd=self.copy,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        return _read([json.loads(line) for line in done.stdout.splitlines() if line])

    def _environment(self) -> dict[str, str]:
        """The tool's own, for one more command. Serving only types in use starts faster."""
        files = [*self.copy.rglob("*.tf"), *self.copy.rglob("*.tftest.hcl")]
        named = {name for file in files for name in NAMED_TYPES.findall(file.read_text())}
        return {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(self._work / "terraform.rc"),
            "TF_DISABLE_PLUGIN_TLS": "1",
            "CHECKPOINT_DISABLE": "1",
            "TFSCHEMA_ONLY": ",".join(sorted(named)),
        }


def _read(messages: list[dict[str, Any]]) -> Outcome:
    tested = Outcome({}, [], {})
    for message in messages:
        run = message.get("@testrun", "")
        if message["type"] == "test_run" and message["test_run"].get("progress") == "complete":
            tested.runs[run] = message["test_run"]["status"]
        elif message["type"] == "diagnostic" and message["diagnostic"]["severity"] == "error":
            told = message["diagnostic"]
            tested.complaints.append(f"{told['summary']}: {told.get('detail', '')}")
        elif message["type"] == "test_state":
            tested.made[run] = dict(_resources(message["test_state"]))
    return tested


def _resources(state: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    for resource in state["root_module"]["resources"]:
        yield resource["address"], resource["values"]


def named_in(file: str, local: str) -> frozenset[str]:
    """The names in a set of `locals`, read as text: for checks that need no Terraform."""
    text = (CONFIGURATION / file).read_text()
    found = re.search(rf"\b{local}\s*=\s*toset\(\[(.*?)\]\)", text, re.DOTALL)
    assert found, f"{file} has no set {local}"
    return frozenset(re.findall(r'"(\w+)"', found[1]))


def keys_in(file: str, local: str) -> frozenset[str]:
    """The keys of a map of `locals`, one a line."""
    text = (CONFIGURATION / file).read_text()
    found = re.search(rf"\b{local}\s*=\s*\{{\n(.*?)\n  \}}", text, re.DOTALL)
    assert found, f"{file} has no map {local}"
    return frozenset(re.findall(r"^    (\w+)\s*=", found[1], re.MULTILINE))
