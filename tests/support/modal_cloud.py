"""Modal on loopback: a stand-in for its control plane, so that the real client deploys for real.

The stand-in is one file that comes with no package; `MEMORY_OPS_MODALSTUB` names it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.ports import free_port

VARIABLE = "MEMORY_OPS_MODALSTUB"
ROOT = Path(__file__).parents[2]
APP = ROOT / "gpu" / "app.py"
PYTHONPATH = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "gpu"))
PROXY_KEYS = {"Modal-Key": "wk-test", "Modal-Secret": "ws-test"}
DEPLOY_SECONDS = 60.0

# The stand-in knows no commits of volumes: they are added, and told.
WITH_COMMITS = """
import runpy, sys
from modal_proto import api_pb2

def VolumeCommit(request):
    print("committed", flush=True)
    return api_pb2.VolumeCommitResponse(skip_reload=True)

sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], {"VolumeCommit": VolumeCommit}, "__main__")
"""


class ModalMissing(Exception):
    """The stand-in is not on this machine; the message says what to do."""


class ModalCloud:
    """Runs deployed functions in a process of its own, with `settings` as its environment."""

    def __init__(self, folder: Path, *secrets: str, **settings: str) -> None:
        """Raises ModalMissing."""
        stub = os.environ.get(VARIABLE, "")
        if not Path(stub).is_file():
            raise ModalMissing(f"set {VARIABLE} to the path of modalstub.py")
        self.web_url = f"http://127.0.0.1:{(web_port := free_port())}"
        self._record = folder / "deployed.json"
        control_port = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": PYTHONPATH,
            "MODAL_SERVER_URL": f"http://127.0.0.1:{control_port}",
            "MODAL_TOKEN_ID": "ak-test",
            "MODAL_TOKEN_SECRET": "as-test",
            "MODAL_CONFIG_PATH": str(folder / "no-profile-of-this-machine.toml"),
            **settings,
        }
        arguments = ["--app", str(APP), "--record", str(self._record)]
        arguments += ["--port", str(control_port), "--web-port", str(web_port)]
        for secret in secrets:
            arguments += ["--secret", secret]
        self._process = subprocess.Popen(
            [sys.executable, "-c", WITH_COMMITS, stub, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("ready"), f"Modal's stand-in did not start: {line!r}"

    def until_printed(self, text: str) -> None:
        """Waits for a container to print it. Raises AssertionError once all have ended."""
        assert self._process.stdout is not None
        assert any(text in line for line in self._process.stdout), f"nobody printed {text!r}"

    def deploy(self, **asked: str) -> dict[str, Any]:
        """What Modal was asked for, by the functions' names."""
        self.run("-m", "modal", "deploy", str(APP), **asked)
        deployed: dict[str, Any] = json.loads(self._record.read_bytes())
        return deployed

    def run(self, *arguments: str, **environment: str) -> str:
        """Python as a client of this cloud; its output. Raises AssertionError where it fails."""
        ended = subprocess.run(
            [sys.executable, *arguments],
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def __enter__(self) -> "ModalCloud":
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
