"""The emulator leaves nothing behind."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import emulator as module
from support.emulator import Emulator, EmulatorMissing, find_jar

PATIENCE_SECONDS = 20.0
PROGRAM = [sys.executable, "-m", module.__name__]
BESIDE = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}


def test_a_killed_owner_takes_the_emulator_with_it(emulator: Emulator) -> None:
    with subprocess.Popen(PROGRAM, stdout=subprocess.PIPE, text=True, env=BESIDE) as owner:
        assert owner.stdout is not None
        host = owner.stdout.readline().strip().removeprefix("FIRESTORE_EMULATOR_HOST=")
        socket.create_connection(address_of(host)).close()
        owner.send_signal(signal.SIGKILL)
    wait_until_refused(host)


def address_of(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port)


def wait_until_refused(host: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(ConnectionError):
        while True:
            socket.create_connection(address_of(host)).close()
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.01)


def test_a_command_is_run_beside_an_emulator_of_its_own(emulator: Emulator) -> None:
    program = (
        "import os, sys, urllib.request as r;"
        "print(r.urlopen('http://' + os.environ['FIRESTORE_EMULATOR_HOST']).read()); sys.exit(7)"
    )
    command = [*PROGRAM, "--", sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, env=BESIDE)
    assert ran.returncode == 7, shlex.join(command)
    assert "Ok" in ran.stdout


def test_what_is_missing_is_said_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_JAR", str(tmp_path / "missing.jar"))
    find_jar.cache_clear()
    with pytest.raises(EmulatorMissing, match=r"gcloud components install|java"):
        Emulator()
    find_jar.cache_clear()


def test_no_environment_variable_leaks_into_other_tests(emulator: Emulator) -> None:
    assert os.environ.get("FIRESTORE_EMULATOR_HOST") != emulator.host
