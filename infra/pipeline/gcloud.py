"""gcloud as a function. Its standard output comes back; what it says beside goes to the log."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


class GcloudFailed(Exception):
    """gcloud left with a status other than zero; the last line it wrote says why."""


class Gcloud:
    """`common` goes with every call: the project, the region."""

    def __init__(self, common: Sequence[str] = (), program: str = "gcloud") -> None:
        self._common = tuple(common)
        self._program = program

    def text(self, *arguments: str) -> str:
        command = [self._program, *arguments, *self._common, "--quiet"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise GcloudFailed(f"gcloud {' '.join(arguments[:3])}: {lines[-1]}")
        sys.stderr.write(done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments, "--format=json") or "null")
