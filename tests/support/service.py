"""The real service in a process of its own: functions-framework, as Cloud Run starts it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from support.ports import free_port
from support.spoken import leaks

FUNCTIONS = Path(__file__).parents[2] / "functions"
START_SECONDS = 30.0


class Service:
    """Started with settings from `environment` alone; nothing of the developer's own leaks in."""

    source = FUNCTIONS / "main.py"

    def __init__(self, folder: Path, target: str = "gateway", **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / f"service-{self.port}.log"
        self._folder = folder
        self._target = target
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PYTHONPATH": str(FUNCTIONS),
            "PYTHONWARNINGS": "ignore",
            "STORE_URL": f"sqlite:///{folder / 'memory.db'}",
            "API_KEYS": "alice:sk-alice,bob:sk-bob,ops:sk-ops",
            "ADMIN_SUBJECTS": "key:ops",
            "REQUESTS_PER_MINUTE": "0",
            "TOKENS_PER_MINUTE": "0",
            "GLOBAL_REQUESTS_PER_MINUTE": "0",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Service":
        command = [
            sys.executable,
            "-m",
            "functions_framework",
            f"--target={self._target}",
            "--asgi",
        ]
        source = f"--source={self.source}"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, source, f"--port={self.port}"],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_healthy()
        return self

    def kill(self) -> None:
        """SIGKILL for the server and its worker: nothing gets to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def close_down(self) -> None:
        """SIGTERM for the server alone, as Cloud Run sends it; returns at once."""
        assert self._process is not None
        self._process.terminate()

    def wait_until_gone(self) -> int:
        """The status that the server ended with."""
        assert self._process is not None
        status, self._process = self._process.wait(START_SECONDS), None
        return status

    @property
    def worker(self) -> psutil.Process:
        """The process that serves; the server starts another when it dies."""
        assert self._process is not None
        found: psutil.Process = psutil.Process(self._process.pid).children()[0]
        return found

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def __enter__(self) -> "Service":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Whatever was tested, the log has told nothing it should not have."""
        self.kill()
        if kind is None:
            assert leaks(self.log, self._environment) == []

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._process.wait()
            self._process = None

    def wait_until_healthy(self) -> None:
        """Retries on refused connections until the server listens, within `START_SECONDS`."""
        assert self._process is not None
        transport = httpx.HTTPTransport(retries=6)  # backs off: 0, 0.5, 1, 2 ... seconds
        with httpx.Client(transport=transport, timeout=START_SECONDS) as client:
            try:
                client.get(f"{self.url}/health").raise_for_status()
            except httpx.HTTPError as error:
                raise RuntimeError(f"the service did not start:\n{self.log}") from error


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Service]:
    with Service(folder, **settings) as service:
        yield service
