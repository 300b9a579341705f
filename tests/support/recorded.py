"""A program that answers from a recording, for scripts that call gcloud, docker or terraform.

It stands on PATH under the program's name. Each call is written down with what of the environment
was asked for; the answer is the first rule whose words all occur in the call.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """#!{python}
import json, os, sys
sys.path[:] = [{here!r}, *sys.path]
from recorded import replay
sys.exit(replay({folder!r}, {name!r}, sys.argv[1:]))
"""


@dataclass(frozen=True)
class Rule:
    """`words` all occur among the call's arguments; `answers` come one after another, the last one
    again and again."""

    words: tuple[str, ...]
    answers: tuple[str, ...] = ("",)
    status: int = 0


class Recorded:
    """Programs of a folder to put on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls.jsonl"

    def program(self, name: str, *rules: Rule) -> None:
        """`name` answers by `rules`; what none covers succeeds and says nothing."""
        here = str(Path(__file__).parent)
        told = [[list(rule.words), list(rule.answers), rule.status] for rule in rules]
        (self.folder / f"{name}.json").write_text(json.dumps(told))
        script = self.folder / name
        script.write_text(
            SCRIPT.format(python=sys.executable, here=here, folder=str(self.folder), name=name)
        )
        script.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call of `name`, in order."""
        if not self._calls.exists():
            return []
        lines = [json.loads(line) for line in self._calls.read_text().splitlines()]
        return [line["arguments"] for line in lines if line["name"] == name]

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            **settings,
        }


def answer(value: Any) -> str:
    return json.dumps(value)


def replay(folder: str, name: str, arguments: Sequence[str]) -> int:
    """What the program does: runs in a process of its own."""
    place = Path(folder)
    calls = place / "calls.jsonl"
    before = calls.read_text().splitlines() if calls.exists() else []
    with calls.open("a") as log:
        log.write(json.dumps({"name": name, "arguments": list(arguments)}) + "\n")
    for words, answers, status in json.loads((place / f"{name}.json").read_text()):
        if all(any(word in one for one in arguments) for word in words):
            earlier = sum(_is_for(line, name, words) for line in before)
            sys.stdout.write(answers[min(earlier, len(answers) - 1)])
            if status:
                sys.stderr.write("ERROR: recorded failure\n")
            return int(status)
    return 0


def _is_for(line: str, name: str, words: Sequence[str]) -> bool:
    call = json.loads(line)
    return call["name"] == name and all(
        any(word in one for one in call["arguments"]) for word in words
    )
