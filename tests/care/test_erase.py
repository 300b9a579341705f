"""The operator's erasure against a store that the service wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.service import FUNCTIONS, serving

pytestmark = pytest.mark.service

ROOT = FUNCTIONS.parent
SAID = {"messages": [{"content": "My dog is called Rex.", "session_id": "kitchen"}]}


def erase(folder: Path, owner: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "care.erase", owner],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{FUNCTIONS}:{ROOT / 'infra'}",
            "STORE_URL": f"sqlite:///{folder / 'memory.db'}",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def sessions(http: httpx.Client, key: str) -> int:
    listed = http.get("/v1/sessions", headers={"x-api-key": key}).raise_for_status()
    return len(listed.json()["data"])


def test_who_is_named_is_erased_and_nobody_else(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=20) as http,
    ):
        for key in ("sk-alice", "sk-bob"):
            http.post("/v1/messages", json=SAID, headers={"x-api-key": key}).raise_for_status()
        done = erase(tmp_path, "key:alice")
        assert done.returncode == 0, done.stderr
        receipt = json.loads(done.stdout)
        assert (receipt["sessions"], receipt["retriever"]["forgotten"]) == (1, True)
        assert (sessions(http, "sk-alice"), sessions(http, "sk-bob")) == (0, 1)
        assert erase(tmp_path, "key:alice").returncode == 0  # again, to go on or to be sure


@pytest.mark.parametrize("owner", ["alice", "", "alice@example.com", "owners/key:alice"])
def test_what_is_no_owner_is_refused_before_anything_happens(tmp_path: Path, owner: str) -> None:
    done = erase(tmp_path, owner)
    assert done.returncode == 1
    assert "google:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_somebody_nobody_knows_is_erased_without_harm(tmp_path: Path) -> None:
    done = erase(tmp_path, "google:1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"] == 0
