"""The smoke test against the service as `make run` starts it, and against what is not it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.smoke import Gateway, run
from support.ports import free_port
from support.service import FUNCTIONS, Service, serving
from support.upstream import Answer, LoopbackUpstream, closed_port

pytestmark = pytest.mark.service

ROOT = FUNCTIONS.parent


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("smoke")) as running:
        yield running


def smoke(url: str, credential: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.smoke", url],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "infra", "SMOKE_CREDENTIAL": credential},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_service_that_works_passes_and_nothing_stays_behind(service: Service) -> None:
    done = smoke(service.url, "sk-alice")
    assert (done.returncode, done.stdout.count("ok ")) == (0, 3), done.stdout + done.stderr
    headers = {"x-api-key": "sk-alice"}
    listed = httpx.get(f"{service.url}/v1/sessions", headers=headers, trust_env=False)
    assert listed.raise_for_status().json()["data"] == []


@contextlib.contextmanager
def launched(folder: Path) -> Iterator[str]:
    """What `make run-light` starts, once it serves; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(FUNCTIONS / "serve.py"), f"--port={port}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FUNCTIONS), "PYTHONWARNINGS": "ignore"},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=6), timeout=20) as client:
            client.get(f"{url}/health").raise_for_status()
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_laptops_service_passes_for_somebody_who_signed_in_there(tmp_path: Path) -> None:
    with launched(tmp_path) as url:
        asked = {"name": "smoke"}
        signed = httpx.post(f"{url}/development/token", json=asked, trust_env=False)
        done = smoke(url, signed.raise_for_status().json()["id_token"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "certificates healthy" in done.stdout


def test_a_credential_that_is_refused_fails(service: Service) -> None:
    done = smoke(service.url, "sk-nobody")
    assert done.returncode == 1
    assert "FAILED  health" in done.stdout
    assert "FAILED  turn: 401" in done.stdout
    assert "ok      refusals" in done.stdout


def test_without_a_credential_it_says_so(service: Service) -> None:
    done = smoke(service.url, "")
    assert done.returncode != 0
    assert "SMOKE_CREDENTIAL" in done.stderr


def test_a_service_whose_upstream_is_away_fails(tmp_path: Path) -> None:
    with serving(tmp_path, UPSTREAM_BASE=f"http://127.0.0.1:{closed_port()}") as service:
        assert not run(Gateway(service.url, "sk-alice"), "m")


@pytest.mark.parametrize(
    "answer",
    [
        Answer.json({"status": "healthy"}),
        Answer.json([]),
        Answer(200, {"content-type": "text/html"}, b"<html>"),
        Answer.error(500, "Boom.", "server_error"),
    ],
)
def test_whatever_else_answers_there_fails(
    answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Least of all one that lets everybody in."""
    with LoopbackUpstream(lambda _: answer) as impostor:
        assert not run(Gateway(impostor.base_url.removesuffix("/v1"), "sk-alice"), "m")
    assert capsys.readouterr().out.count("FAILED") == 3


def test_nobody_there_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(Gateway(f"http://127.0.0.1:{closed_port()}", "sk-alice"), "m")
    assert "no answer" in capsys.readouterr().out
