"""What `make bench` holds side by side, each a process before the same upstream.

`straight` is no process: the upstream itself. Peers come from their registries into `cache`, a
folder of their own (`~/.cache/memory-ops-bench` unless told), and are run with one worker.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.ports import free_port
from support.service import FUNCTIONS

HERE = Path(__file__).parent
LITELLM = "litellm[proxy]==1.100.0"
PORTKEY = "@portkey-ai/gateway@1.15.2"
NEVER_REACHED = "1000000000"
PEOPLE = 64
MASTER = "sk-bench"
TICKS = os.sysconf("SC_CLK_TCK")


def key(person: int) -> str:
    return f"sk-{person}"


@dataclass(frozen=True, slots=True)
class Contender:
    """`command` gets the port in place of `PORT`; `headers` go with a person's every request."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    headers: Callable[[int], Mapping[str, str]] = field(default=lambda person: {})
    remembers: bool = False


class Running:
    """A contender's process and those it started, in a session of their own."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender
        self.port = free_port()
        command = [part.replace("PORT", str(self.port)) for part in contender.command]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **contender.environment}
        environment["PORT"] = str(self.port)
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_seconds(self) -> float:
        return sum(self._stat(pid) for pid in self._family())

    def megabytes(self) -> float:
        """Resident, of all its processes together."""
        return sum(_resident(pid) for pid in self._family()) / 1e6

    def _family(self) -> list[int]:
        found, waiting = [], [self._process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                waiting += map(int, children.split())
        return found

    @staticmethod
    def _stat(pid: int) -> float:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
        return 0.0


def _resident(pid: int) -> float:
    """Proportionally: a page that two processes share counts half in each."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 0.0


def framework(python: str, source: Path) -> tuple[str, ...]:
    command = (python, "-m", "functions_framework", "--target=gateway", "--asgi")
    return (*command, f"--source={source}", "--port=PORT", "--host=127.0.0.1")


def bare(python: str, library: str, upstream: int) -> Contender:
    url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
    return Contender(
        f"bare {library}", framework(python, HERE / f"bare_{library}.py"), {"UPSTREAM": url}
    )


def ours(
    python: str, name: str, upstream: int, store: Mapping[str, str], *, memory: bool
) -> Contender:
    """Identity and limits on: counted, never reached."""

    def headers(person: int) -> Mapping[str, str]:
        asked = {"x-session-id": "bench"} if memory else {"x-memory": "off"}
        return {"authorization": f"Bearer {key(person)}", **asked}

    environment = {
        "PYTHONPATH": str(FUNCTIONS),
        "UPSTREAM_BASE": f"http://127.0.0.1:{upstream}",
        "API_KEYS": ",".join(f"{key(person)}:{key(person)}" for person in range(PEOPLE)),
        "REQUESTS_PER_MINUTE": NEVER_REACHED,
        "TOKENS_PER_MINUTE": NEVER_REACHED,
        "GLOBAL_REQUESTS_PER_MINUTE": NEVER_REACHED,
        "RETENTION_SCHEDULE_SECONDS": "0",
        **store,
    }
    return Contender(
        name, framework(python, FUNCTIONS / "main.py"), environment, headers, remembers=memory
    )


def litellm(upstream: int, cache: Path) -> Contender:
    folder = cache / "litellm"
    if not (folder / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", LITELLM], check=True)
    config = cache / f"litellm-{upstream}.yaml"  # JSON is YAML
    parameters = {
        "model": "openai/canned",
        "api_base": f"http://127.0.0.1:{upstream}/v1",
        "api_key": "none",
    }
    models = [{"model_name": "canned", "litellm_params": parameters}]
    config.write_text(
        json.dumps({"model_list": models, "general_settings": {"master_key": MASTER}})
    )
    return Contender(
        "LiteLLM",
        (str(folder / "bin" / "litellm"), "--config", str(config), "--port", "PORT"),
        {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        lambda person: {"authorization": f"Bearer {MASTER}"},
    )


def portkey(upstream: int, cache: Path) -> Contender:
    folder = cache / "portkey"
    server = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not server.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", PORTKEY]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    named = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        "authorization": "Bearer none",
    }
    # Its guard against requests to inside addresses knows the hosts that are meant.
    trusted = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    command = ("node", str(server), "--port=PORT", "--headless")
    return Contender("Portkey", command, trusted, lambda person: named)


PEERS: Mapping[str, Callable[[int, Path], Contender]] = {"litellm": litellm, "portkey": portkey}
