"""`python -m retriever`: its commands, and the server as a laptop runs it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from retriever.__main__ import (
    MODULES,
    announce,
    embedded_where_none_is_named,
    is_loopback,
    main,
)
from retriever.models.embedded import ADAPTER, EMBEDDED
from retriever.settings import Settings
from retriever_contract.wire import DeviceFigures, Health, RankAnswer
from support.modal_cloud import PYTHONPATH
from support.rankers import FACTS
from support.tiny_retriever import tiny_settings

EVERYWHERE = "0.0.0.0"  # noqa: S104  asked for, and refused
START_SECONDS = 30.0


class Server:
    """`python -m retriever serve` on a port of the system's choice."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        settings: dict[str, str],
        handed_down: Sequence[int] = (),
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "retriever", "serve", "--port", "0", *arguments],
            cwd=folder,  # where no .env of a developer lies
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": PYTHONPATH,
                "OMP_NUM_THREADS": "1",
                **settings,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=handed_down,
        )

    def line(self) -> str:
        """The next that it prints; empty once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().removesuffix("\n")

    def send(self, signal_number: signal.Signals) -> tuple[int, str]:
        """What it ends with, and what it wrote beside its lines."""
        self._process.send_signal(signal_number)
        return self.ended()

    def close_stdin(self) -> tuple[int, str]:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.ended()

    def ended(self) -> tuple[int, str]:
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        return self._process.wait(), errors

    def kill(self) -> None:
        with self._process:  # closes the pipes and waits
            self._process.kill()


@contextmanager
def serving(folder: Path, *arguments: str, **settings: str) -> Iterator[Server]:
    server = Server(folder, arguments, settings)
    try:
        yield server
    finally:
        server.kill()


def url_of(line: str) -> str:
    said, _, url = line.rpartition(" ")
    assert said == "retriever listening on"
    return url


def test_a_laptop_serves_a_model_and_says_when_it_is_ready(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    with serving(tmp_path, **settings) as server:
        url = url_of(server.line())
        health = httpx.get(f"{url}/v1/health")
        assert Health.model_validate_json(health.content).status in {"loading", "ready"}
        ready = server.line()
        assert ready.startswith(f"retriever ready: {settings['MODEL_NAME']}, no adapter, profile ")
        assert ", on cpu" in ready
        request = {
            "version": 1,
            "owner": "a1b2c3d4e5f6a7b8",
            "epoch": 0,
            "windows": [{"chunks": [{"id": "a", "text": "the bike is red"}]}],
            "queries": ["what colour is the bike"],
            "deadline_milliseconds": 30_000,
        }
        answer = httpx.post(f"{url}/v1/rank", json=request, timeout=30.0)
        ((score,),) = RankAnswer.model_validate_json(answer.content).scores
        assert score.id == "a"
        code, log = server.send(signal.SIGTERM)
        assert code == -signal.SIGTERM  # after its shutdown uvicorn hands the signal on
        assert '"tokens": ' in log
        assert "bike" not in log


def test_a_server_whose_model_cannot_be_loaded_says_why_and_goes_on_answering(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, MODEL_NAME="nobody/nothing", LORA_ID="", DEVICE="cpu") as server:
        url = url_of(server.line())
        assert server.line().startswith("retriever not usable: nobody/nothing has no profile")
        health = httpx.get(f"{url}/v1/health")
        assert (health.status_code, health.json()["status"]) == (503, "unusable")


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--until-stdin-ends", MODEL_NAME="nobody/nothing") as server:
        url_of(server.line())
        code, _ = server.close_stdin()
        assert code == -signal.SIGTERM


def test_a_server_takes_over_a_socket_that_listens_already(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, fd = listening.getsockname()[1], listening.fileno()
        server = Server(tmp_path, ["--fd", str(fd)], {"MODEL_NAME": "nobody/nothing"}, [fd])
        try:
            health = httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=START_SECONDS)
            assert health.status_code == 503
            assert url_of(server.line()) == f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.mark.parametrize("fd", ["0", "99"])
def test_what_is_no_socket_is_not_taken_over(tmp_path: Path, fd: str) -> None:
    with serving(tmp_path, "--fd", fd) as server:
        code, errors = server.ended()
    assert (code, errors.startswith(f"--fd {fd} is no socket")) == (1, True)


def test_a_socket_that_others_reach_is_not_taken_over_by_accident(tmp_path: Path) -> None:
    with socket.create_server((EVERYWHERE, 0)) as listening:
        server = Server(tmp_path, ["--fd", str(listening.fileno())], {}, [listening.fileno()])
        try:
            code, errors = server.ended()
        finally:
            server.kill()
    assert (code, "nobody signs in here: --public" in errors) == (1, True)


def test_a_server_that_is_interrupted_while_it_loads_leaves_without_a_trace(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, MODEL_NAME="nobody/nothing") as server:
        url_of(server.line())
        assert server.send(signal.SIGINT) == (0, "")


def test_the_embedded_model_stands_in_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL_NAME", "LORA_ID", "DEVICE"):
        monkeypatch.delenv(name, raising=False)
    chosen = embedded_where_none_is_named(Settings(_env_file=None))
    assert (chosen.model_name, chosen.lora_id, chosen.device) == (EMBEDDED, ADAPTER, "auto")
    bare = Settings(_env_file=None, lora_id="")
    assert embedded_where_none_is_named(bare).lora_id == ""
    named = Settings(_env_file=None, model_name="somebody/something")
    assert embedded_where_none_is_named(named) is named
    on_gpu = Settings(_env_file=None, device="cuda")
    assert embedded_where_none_is_named(on_gpu).device == "cuda"


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.7", "retriever.internal"])
def test_nobody_listens_beyond_loopback_by_accident(host: str) -> None:
    with pytest.raises(SystemExit, match="nobody signs in here: --public"):
        main(["serve", "--host", host])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_has_several_names(host: str) -> None:
    assert is_loopback(host)


def test_a_command_that_this_copy_does_not_carry_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODULES, "detect", "retriever.nowhere")
    with pytest.raises(SystemExit, match=r"no module retriever\.nowhere"):
        main(["detect"])


def test_a_command_gets_its_arguments_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "echoing_command.py").write_text("def main(argv): print(argv)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(MODULES, "train", "echoing_command")
    main(["train", "--help", "--steps", "3", "data"])
    assert capsys.readouterr().out.strip() == "['--help', '--steps', '3', 'data']"


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fly"])
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_the_ready_line_names_model_adapter_profile_and_device(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = FACTS.model_copy(update={"adapter": "bikes"})
    announce(Health(status="ready", facts=facts, device=DeviceFigures(name="NVIDIA L40S")))
    ready = "retriever ready: words, bikes, profile words-1, on NVIDIA L40S\n"
    assert capsys.readouterr().out == ready
