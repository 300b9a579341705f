"""The emulator leaves nothing behind."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support import emulator as module
from support.emulator import Emulator, EmulatorMissing, find_jar

SCRIPT = str(Path(module.__file__))


def test_a_killed_owner_takes_the_emulator_with_it(emulator: Emulator) -> None:
    with subprocess.Popen([sys.executable, SCRIPT], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        host = owner.stdout.readline().strip().removeprefix("FIRESTORE_EMULATOR_HOST=")
        with socket.create_connection(address_of(host)) as open_to_emulator:
            owner.send_signal(signal.SIGKILL)
            open_to_emulator.settimeout(20)
            assert received(open_to_emulator) == b""
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(address_of(host)).close()


def address_of(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port)


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


def test_a_command_is_run_beside_an_emulator_of_its_own(emulator: Emulator) -> None:
    program = (
        "import os, sys, urllib.request as r;"
        "print(r.urlopen('http://' + os.environ['FIRESTORE_EMULATOR_HOST']).read()); sys.exit(7)"
    )
    command = [sys.executable, SCRIPT, "--", sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True)
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
