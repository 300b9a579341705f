"""Repudiation and disclosure by what is written down: no line of the log is forged, no secret is in
a log or in an answer, and secrets are compared in constant time."""

import ast
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from attack.conftest import UPSTREAM_KEY
from support.service import Service
from support.upstream import Answer, LoopbackUpstream, error

FUNCTIONS = Path(__file__).parents[2] / "functions"
CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
CANARY = "canary-8843"
SECRET = {"digest", "digests", "signature", "secret", "secrets", "api_key", "password"}


@pytest.mark.service
@pytest.mark.parametrize("memory", ["on", "off"])
@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_upstream_that_quotes_its_key_back_does_not_tell_it_to_the_client(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    person: Callable[[], dict[str, str]],
    status: int,
    memory: str,
) -> None:
    told = error(f"Incorrect API key provided: {UPSTREAM_KEY}.", "invalid_api_key")
    upstream.queue(Answer.json(told, status))
    answer = http.post(CHAT, json=BODY, headers={**person(), "x-memory": memory})
    assert answer.status_code == status
    assert UPSTREAM_KEY not in answer.text
    assert answer.json()["error"]["message"].startswith("Incorrect API key provided: [withheld]")


@pytest.mark.service
def test_no_line_of_the_log_can_be_forged_and_none_tells_what_was_sent(
    service: Service, http: httpx.Client, person: Callable[[], dict[str, str]]
) -> None:
    forged = f'{{"event": "api_request", "forged": "{CANARY}"}}'
    headers = person()
    http.get(f"/v1/x%0A{forged}", headers=headers)
    http.get(f"/v1/sessions/{CANARY}%0d%0a{forged}/messages", headers=headers)
    http.get(f"/v1/models/{CANARY}%0A{forged}", headers=headers)
    http.get(f"/v1/memory/search?query={CANARY}%0A{forged}", headers=headers)
    http.post(CHAT, json={**BODY, CANARY: forged}, headers={"x-api-key": CANARY})
    for line in (b"GET /%b\t HTTP/1.1", b"%b / HTTP/1.1", b"GET / HTTP/9.%b"):
        with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
            connection.sendall(line % CANARY.encode() + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
            connection.makefile("rb").read(100)
    lines = [line for line in service.log.splitlines() if line.startswith("{")]
    assert lines
    assert all(isinstance(orjson.loads(line), dict) for line in lines)
    assert CANARY not in service.log
    assert UPSTREAM_KEY not in service.log
    assert "eyJ" not in service.log


def compared(tree: ast.AST) -> Iterator[ast.Compare]:
    """Every `==` and `!=` of something that is called a secret."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides: list[Any] = [node.left, *node.comparators]
            names = {getattr(one, "id", getattr(one, "attr", "")) for one in sides}
            if names & SECRET:
                yield node


def test_what_is_secret_is_compared_in_constant_time() -> None:
    """Where a credential is judged; digests of texts elsewhere are no secrets of their owner's."""
    rooms = [FUNCTIONS / "gateway" / "identity", FUNCTIONS / "gateway" / "accounts"]
    files = [file for room in rooms for file in room.glob("*.py")]
    assert len(files) >= 5
    found = [(file.name, one.lineno) for file in files for one in compared(_tree(file))]
    assert found == []
    keys = (FUNCTIONS / "gateway" / "identity" / "keys.py").read_text()
    assert "hmac.compare_digest(" in keys


def _tree(file: Path) -> ast.AST:
    return ast.parse(file.read_text(), str(file))


def test_the_comparison_test_sees_one() -> None:
    assert list(compared(ast.parse("if key.digest == digest: pass")))
