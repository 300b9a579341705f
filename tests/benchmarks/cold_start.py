"""What the image's bytecode saves at a cold start: from the process's start to its first answer.

    PYTHONPATH=functions:gpu .venv/bin/python tests/benchmarks/cold_start.py

Lays out the image's two folders as functions/Dockerfile does, once with bytecode and once without,
and starts both in turn. Needs a package index, or pip's own cache, and no container runtime.
"""

import argparse
import compileall
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from py_compile import PycInvalidationMode

from support.ports import free_port
from support.service import FUNCTIONS

PATIENCE_SECONDS = 30.0
PIP = ("-m", "pip", "install", "--quiet", "--only-binary=:all:", "--no-compile")


def lay_out(folder: Path, *, bytecode: bool) -> None:
    requirements = ("-r", str(FUNCTIONS / "requirements.txt"))
    target = ("--target", str(folder / "packages"))
    subprocess.run([sys.executable, *PIP, *target, *requirements], check=True)
    unneeded = shutil.ignore_patterns("__pycache__", "serve.py", "*.db*")
    shutil.copytree(FUNCTIONS, folder / "app", ignore=unneeded)
    if bytecode:
        unchecked = PycInvalidationMode.UNCHECKED_HASH
        for part in ("packages", "app"):
            compileall.compile_dir(folder / part, quiet=2, invalidation_mode=unchecked)


def start(folder: Path) -> float:
    """Seconds until `GET /health` is answered."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PYTHONPATH": f"{folder / 'packages'}:{folder / 'app'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "FUNCTION_SOURCE": str(folder / "app" / "main.py"),
        "FUNCTION_TARGET": "gateway",
        "FUNCTION_USE_ASGI": "true",
        "API_KEYS": "me:key",
        "STORE_URL": "firestore://project/database",
        "K_SERVICE": "gateway",
    }
    python = Path(sys.base_prefix, "bin", "python3")  # not this environment's packages
    began = time.perf_counter()
    process = subprocess.Popen(
        [python, "-m", "functions_framework"],
        env=environment,
        cwd=folder / "app",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_answer(port, began)
        return time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_answer(port: int, began: float) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
            break
        except OSError:
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise
            time.sleep(0.003)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as place:
        kinds = {"with bytecode": True, "without": False}
        folders = {name: Path(place, name.replace(" ", "-")) for name in kinds}
        for name, folder in folders.items():
            lay_out(folder, bytecode=kinds[name])
        sizes = {name: megabytes(folder / "packages") for name, folder in folders.items()}
        taken = {name: [start(folder) for _ in range(repeats)] for name, folder in folders.items()}
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, median in medians.items():
        taken_by = f"{median:.2f} s to the first answer, median of {repeats}"
        print(f"{name:14} {taken_by}; packages {sizes[name]:.0f} MB")
    print(f"ratio          {medians['without'] / medians['with bytecode']:.1f}")


if __name__ == "__main__":
    main()
