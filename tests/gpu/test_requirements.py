"""The tests install what every part of the service installs, in one environment."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+]+)\s*(?:#.*)?")


def pins(folder: str) -> dict[str, str]:
    found = {}
    for line in (ROOT / folder / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pinned = PINNED.fullmatch(line)
            assert pinned, f"{folder}/requirements.txt does not pin: {line}"
            found[re.sub(r"[-_.]+", "-", pinned[1].lower())] = pinned[2]
    return found


def test_a_package_that_several_parts_name_has_one_version() -> None:
    gpu, others = pins("gpu"), {**pins("functions"), **pins("tests")}
    shared = gpu.keys() & others.keys()
    assert shared
    assert {name: gpu[name] for name in shared} == {name: others[name] for name in shared}


def test_the_gateway_needs_neither_modal_nor_torch() -> None:
    assert not pins("functions").keys() & {"modal", "torch", "transformers"}
