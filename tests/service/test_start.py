"""Starting: what is refused, and how soon the first request is answered."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from support.ports import free_port
from support.service import FUNCTIONS, serving

pytestmark = pytest.mark.service

PRODUCTION = {
    "K_SERVICE": "memory-ops",
    "API_KEYS": "alice:sk-alice",
    "STORE_URL": "firestore://project/database",
}
HELLO = {"model": "preview", "messages": [{"role": "user", "content": "Hello"}]}


def start(folder: Path, **settings: str) -> tuple[int, str]:
    """The entry point's process, which is to end by itself: its exit status and what it said."""
    source, port = f"--source={FUNCTIONS / 'main.py'}", f"--port={free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "functions_framework", "--target=gateway", "--asgi", source, port],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FUNCTIONS), **settings},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told = process.communicate(timeout=30)[0]
        return process.returncode, told
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"API_KEYS": ""}, "no way to sign in: set GOOGLE_CLIENT_ID or API_KEYS"),
        ({"DEVELOPMENT_ISSUER": "true"}, "DEVELOPMENT_ISSUER lets anyone in"),
        ({"STORE_URL": "sqlite:///memory.db"}, "would be lost with the instance"),
    ],
    ids=["no sign-in", "development issuer", "sqlite"],
)
def test_production_refuses_to_start_unsafely(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    status, told = start(tmp_path, **{**PRODUCTION, **settings})
    assert status != 0
    assert reason in told
    assert "sk-" not in told


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"REQUESTS_PER_MINUTE": "many"}, "REQUESTS_PER_MINUTE"),
        ({"LOG_LEVEL": "LOUD"}, "log_level"),
        ({"UPSTREAM_API_KEY": "sk-öne", "UPSTREAM_BASE": "http://u.test"}, "upstream API key"),
        ({"UPSTREAM_BASE": "ftp://example.test"}, "upstream base"),
        ({"UPSTREAMS": "[{'base': 'http://hunter2'}]"}, "UPSTREAMS"),
        ({"UPSTREAMS": '[{"base": "http://u.test", "key": "hunter2", "modles": []}]'}, "modles"),
        ({"UPSTREAMS": '[{"base": "ftp://u.test", "key": "hunter2"}]'}, "upstream base"),
        ({"UPSTREAMS": "[]", "UPSTREAM_BASE": "http://u.test"}, "UPSTREAMS"),
        ({"RESPONSE_CACHE_TTL_SECONDS": "0"}, "response_cache_ttl_seconds"),
        ({"STORE_URL": "postgres://hunter2@example.test/db"}, "STORE_URL"),
        ({"API_KEYS": "alice:sk-one,bob:sk-one"}, "API key"),
        ({"RETRIEVER_URL": "http://hunter2@gpu.test"}, "RETRIEVER_URL"),
        ({"RETRIEVER_URL": "https://gpu.test", "MODAL_KEY": "hunter2"}, "MODAL_SECRET"),
        ({"RETRIEVER_DEADLINE_SECONDS": "0"}, "retriever_deadline_seconds"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_meant_stops_the_start(
    tmp_path: Path, settings: dict[str, str], name: str
) -> None:
    status, told = start(tmp_path, **{"API_KEYS": "alice:sk-alice", **settings})
    assert status != 0
    assert name in told
    assert "sk-" not in told
    assert "hunter2" not in told


def test_the_entry_point_answers_its_first_request(tmp_path: Path) -> None:
    with serving(tmp_path) as service, httpx.Client(base_url=service.url) as http:
        answer = http.post("/v1/chat/completions", json=HELLO, headers={"x-api-key": "sk-alice"})
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    assert answer.headers["x-memory-status"] == "miss"


def test_a_restart_keeps_what_was_remembered(tmp_path: Path) -> None:
    headers = {"x-api-key": "sk-alice", "x-session-id": "talk"}
    with serving(tmp_path) as service, httpx.Client(base_url=service.url) as http:
        http.post("/v1/chat/completions", json=HELLO, headers=headers).raise_for_status()
        service.kill()
        service.start()
        stored = http.get("/v1/sessions/talk/messages", headers=headers)
    assert [one["content"] for one in stored.json()["data"]] == ["Hello"]


def test_importing_the_entry_point_opens_nothing(tmp_path: Path) -> None:
    code = "import main, os; print(sorted(os.listdir()))"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FUNCTIONS)}
    told = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert told.stdout == "[]\n"


def test_a_local_run_prints_a_request_that_works(tmp_path: Path) -> None:
    """What `make run` starts: its own issuer signs the credential that it prints."""
    port = free_port()
    with launched(tmp_path, port) as greeting, patient(f"http://127.0.0.1:{port}") as http:
        words = shlex.split(greeting.partition("  try ")[2])
        headers = [words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H"]
        body = words[words.index("-d") + 1]
        assert words[:3] == ["curl", "-s", f"http://127.0.0.1:{port}/v1/chat/completions"]
        http.get("/health").raise_for_status()
        answer = http.post("/v1/chat/completions", content=body, headers=dict(headers))
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    assert str(tmp_path / "memory-ops.db") in greeting


def test_a_local_run_starts_a_retriever_at_a_port_that_is_its_own(tmp_path: Path) -> None:
    port, beside = free_port(), free_port()
    with (
        launched(tmp_path, port, f"--retriever-port={beside}") as greeting,
        patient(f"http://127.0.0.1:{port}") as http,
        patient(f"http://127.0.0.1:{beside}") as retriever,
    ):
        assert f"retriever http://127.0.0.1:{beside}" in greeting
        assert retriever.get("/v1/health").json()["status"] in {"loading", "unusable"}
        http.get("/health").raise_for_status()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", beside))


def test_whoever_holds_the_retrievers_port_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken, port = stranger.getsockname()[1], free_port()
        with (
            launched(tmp_path, port, f"--retriever-port={taken}") as greeting,
            patient(f"http://127.0.0.1:{port}") as http,
        ):
            assert f"no retriever: port {taken} cannot be had" in greeting
            assert "memories are ranked by the words" in greeting
            http.get("/health").raise_for_status()
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()


@contextmanager
def launched(folder: Path, port: int, *options: str) -> Iterator[str]:
    """The launcher's process and what it says before it serves."""
    process = subprocess.Popen(
        [sys.executable, str(FUNCTIONS / "serve.py"), f"--port={port}", *options],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{FUNCTIONS}{os.pathsep}{FUNCTIONS.parent / 'gpu'}",
            "MODEL_NAME": "nobody/nothing",
        },
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield "".join(iter(process.stdout.readline, "\n"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def patient(url: str) -> httpx.Client:
    """A client that waits until the server listens."""
    return httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=6), timeout=20)
