"""What is installed may be passed on, and is what was looked at, byte for byte."""

import re
import sys
from pathlib import Path

import pytest

from care import licences

ROOT = Path(__file__).parents[2]
FUNCTIONS, GPU = ROOT / "functions", ROOT / "gpu"
LOCKED = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+?)(?: ;.*)? \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n?)+)", re.M
)


def test_every_licence_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(FUNCTIONS / "requirements.txt"), str(GPU / "requirements.txt")]
    monkeypatch.setattr(sys, "argv", ["licences", *files])
    licences.main()
    assert len(capsys.readouterr().out.splitlines()) > 50


@pytest.mark.parametrize("text", ["GPL-3.0-only", "MIT AND AGPL-3.0", "not stated", "Proprietary"])
def test_a_licence_that_nobody_looked_at_is_a_question(text: str) -> None:
    assert not licences.Licensed("x", "1", text).known


def test_what_is_not_installed_is_a_question() -> None:
    assert not licences.licensed("no-such-package-here", "1").known


def test_the_image_installs_what_is_pinned_by_its_hash() -> None:
    """`make lock` writes the hashes anew after a change of the pins."""
    pins = {
        _folded(name): version for name, version in licences.pinned(FUNCTIONS / "requirements.txt")
    }
    locked = (FUNCTIONS / "requirements.lock").read_text()
    found = {_folded(name): version for name, version, _ in LOCKED.findall(locked)}
    assert found == pins
    assert "--require-hashes -r requirements.lock" in (FUNCTIONS / "Dockerfile").read_text()


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
