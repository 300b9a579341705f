"""The real retriever in a process of its own: `python -m retriever serve --embedded`, on loopback.

The model, its profile and its device are those of the environment, as a laptop's are: `MODEL_NAME`,
`PROFILE_DIR`, `DEVICE` and the like pass through.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from support.ports import free_port

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "functions"), str(ROOT / "gpu")])
PASSED_ON = (
    *("PATH", "HOME", "MODEL_NAME", "LORA_ID", "MODEL_REVISION", "LORA_REVISION", "DEVICE"),
    *("DTYPE", "PROFILE_DIR", "RETRIEVER_CACHE", "RETRIEVER_CACHE_BYTES"),
    *("RETRIEVER_IDLE_SECONDS", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
)
LOADED = "retriever ready: "  # how the line begins that says it is
HEALTH_SECONDS = 30.0


class RetrieverProcess:
    """Ends with the process that started it, however that ends."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / f"retriever-{self.port}.log"
        self._folder = folder
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._environment = {**passed, "PYTHONPATH": PYTHONPATH, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RetrieverProcess":
        """Waits for the model, which is read and converted at the first time. Raises RuntimeError:
        it cannot be loaded, or the process ended."""
        serve = [sys.executable, "-m", "retriever", "serve", "--embedded", "--until-stdin-ends"]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*serve, "--port", str(self.port)],
                env=self._environment,
                cwd=self._folder,  # where no .env of a developer lies
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._wait_until_ready(self._process)
        return self

    def stop(self) -> None:
        if self._process is not None:
            with self._process:  # closes the pipes and waits
                self._process.terminate()
            self._process = None

    def health(self) -> dict[str, object]:
        """As `GET /v1/health` tells it; empty where nobody answers."""
        try:
            answer = httpx.get(f"{self.url}/v1/health", timeout=HEALTH_SECONDS, trust_env=False)
            told: dict[str, object] = answer.json()
        except (httpx.HTTPError, ValueError):
            return {}
        return told

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """It prints a line when it listens and one when loading has ended, so nothing is polled."""
        assert process.stdout is not None
        for line in process.stdout:
            if line.decode().startswith(LOADED) and self.health().get("status") == "ready":
                return
            if b"not usable" in line:
                break
        said = self.log_file.read_text()
        told = self.health().get("message", "it ended")
        self.stop()
        raise RuntimeError(f"the retriever did not start: {told}\n{said}")


@contextlib.contextmanager
def retrieving(folder: Path, **settings: str) -> Iterator[RetrieverProcess]:
    process = RetrieverProcess(folder, settings)
    try:
        yield process.start()
    finally:
        process.stop()
