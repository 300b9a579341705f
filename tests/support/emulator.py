"""The real Firestore emulator on loopback, in memory, gone when its owner is gone.

As a script it runs one until interrupted, or for as long as a command takes:

    PYTHONPATH=tests python -m support.emulator
    PYTHONPATH=tests python -m support.emulator -- python functions/serve.py
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from support.ports import free_port

JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
KNOWN_ROOTS = ("/usr/lib/google-cloud-sdk", "/opt/google-cloud-sdk", "~/google-cloud-sdk")
START_SECONDS = 30.0

# `cat` ends when the owner closes the pipe or dies, however it dies; the emulator then goes too.
GUARDED = '"$@" </dev/null & emulator=$!; cat; kill -9 $emulator; wait $emulator'


class EmulatorMissing(Exception):
    """There is nothing to run. The text says what installs it."""


class Emulator:
    """Holds nothing over a stop: started again, it is empty, on the same port."""

    def __init__(self, port: int | None = None) -> None:
        self._command = command(port or free_port())
        self.host = f"127.0.0.1:{port_of(self._command)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self._process = subprocess.Popen(
            ["sh", "-c", GUARDED, "sh", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
            self._warm()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """As a crash: open calls end in a reset, nothing gets to tidy up."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def hang(self) -> None:
        """Connections stay and nothing is answered, until `resume` or `stop`."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """What was asked meanwhile may be done now, though nobody waits for it any more."""
        self._send(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no emulator within {START_SECONDS} s: {self._command}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self._ask("/").strip() == b"Ok"
        return False

    def _warm(self) -> None:
        """Java loads its classes at the first write, which takes longer than callers may wait."""
        database = "projects/warm/databases/(default)/documents"
        write = {"update": {"name": f"{database}/warm/up", "fields": {}}}
        self._ask(f"/v1/{database}:commit", json.dumps({"writes": [write]}).encode())

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"authorization": "Bearer owner", "content-type": "application/json"}
        request = urllib.request.Request(f"http://{self.host}{path}", body, headers)
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with no_proxy.open(request, timeout=START_SECONDS) as answer:
            return bytes(answer.read())


def command(port: int) -> list[str]:
    """Raises `EmulatorMissing`."""
    java = shutil.which("java")
    if java is None:
        raise EmulatorMissing("no java on PATH: apt-get install default-jre-headless")
    # Without the language the emulator fails under some locales, Turkish among them.
    settings = ["-Duser.language=en", "-cp", str(find_jar()), MAIN_CLASS]
    return [java, *settings, "start", "--host=127.0.0.1", f"--port={port}"]


def port_of(command: Sequence[str]) -> int:
    return int(command[-1].partition("=")[2])


@functools.cache
def find_jar() -> Path:
    """Named by FIRESTORE_EMULATOR_JAR, or a component of gcloud. Raises `EmulatorMissing`."""
    for jar in _candidates():
        if jar.is_file():
            return jar
    raise EmulatorMissing(
        "no Firestore emulator: gcloud components install cloud-firestore-emulator"
        " (apt-get install google-cloud-cli-firestore-emulator), or name a jar of it in"
        " FIRESTORE_EMULATOR_JAR"
    )


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("FIRESTORE_EMULATOR_JAR"):
        yield Path(named)
        return
    gcloud = shutil.which("gcloud")
    if gcloud:
        yield Path(gcloud).resolve().parents[1] / JAR
    for root in KNOWN_ROOTS:
        yield Path(root).expanduser() / JAR
    if gcloud:  # takes seconds, so asked last
        asked = [gcloud, "info", "--format=value(installation.sdk_root)"]
        answer = subprocess.run(asked, capture_output=True, text=True)
        if root := answer.stdout.strip():
            yield Path(root) / JAR


def main(arguments: Sequence[str]) -> int:
    """Runs until interrupted; with a command, until that has ended, and answers with its status."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    with Emulator() as emulator, contextlib.suppress(KeyboardInterrupt):
        print(f"FIRESTORE_EMULATOR_HOST={emulator.host}", flush=True)
        if not command:
            signal.pause()
        environment = {**os.environ, "FIRESTORE_EMULATOR_HOST": emulator.host}
        return _wait(subprocess.Popen(command, env=environment))
    return 0


def _wait(process: subprocess.Popen[bytes]) -> int:
    """An interrupt reaches the command from the terminal too; it is given its time to end."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except EmulatorMissing as missing:
        sys.exit(str(missing))
