"""Whether a deployed gateway does its work: its health, one turn of a chat, two refusals.

    SMOKE_CREDENTIAL=... PYTHONPATH=infra python -m pipeline.smoke https://candidate---...run.app

The credential is an API key or an ID token. The turn is one of a session of its own, which is
deleted again; with a real upstream it costs one short answer. Needs nothing but Python.
"""

import argparse
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 90  # a cold start, and an upstream that takes its time
FORGED = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA"  # a JWT in shape alone
CHECKS = {"documents", "retriever", "upstream", "certificates"}
HEADERS = ("x-request-id", "x-session-id", "x-memory-status", "x-tokens-before", "x-tokens-after")


class Failed(Exception):
    """What was seen instead of what had to be."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Failed(f"{self.status}, and no JSON object: {self.body[:80]!r}")
        return value


class Gateway:
    def __init__(self, url: str, credential: str) -> None:
        self._url = url.rstrip("/")
        self._credential = credential

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        credential: str | None = None,
        session: str = "",
    ) -> Answer:
        """With the caller's credential, another one, or none where that is empty."""
        used = self._credential if credential is None else credential
        headers = {"content-type": "application/json"} if body is not None else {}
        headers |= {"authorization": f"Bearer {used}"} if used else {}
        headers |= {"x-session-id": session} if session else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  the URL is the operator's own
            self._url + path, data, headers, method=method
        )
        return _sent(request)


def _sent(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  as above
            return Answer(answer.status, _lower(answer.headers.items()), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers.items()), error.read())
    except OSError as error:
        raise Failed(f"no answer: {error}") from None


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def health(gateway: Gateway) -> str:
    answer = gateway.ask("GET", "/health/detailed")
    _expect(answer, 200)
    body = answer.json()
    if body.get("status") != "healthy" or not set(body.get("checks", {})) >= CHECKS:
        raise Failed(f"not healthy, or not all told: {body}")
    return ", ".join(f"{name} {check['status']}" for name, check in body["checks"].items())


def turn(gateway: Gateway, model: str) -> str:
    session = f"smoke-{secrets.token_hex(8)}"
    question = {"role": "user", "content": "Say one word."}
    try:
        answer = gateway.ask(
            "POST",
            "/v1/chat/completions",
            {"model": model, "messages": [question]},
            session=session,
        )
        _expect(answer, 200)
        missing = [name for name in HEADERS if name not in answer.headers]
        if missing or answer.headers["x-session-id"] != session:
            raise Failed(f"headers missing or wrong: {missing or 'x-session-id'}")
        return f"{len(_content(answer))} characters"
    finally:
        gateway.ask("DELETE", f"/v1/sessions/{session}")


def refusals(gateway: Gateway) -> str:
    for what, credential in (("no credential", ""), ("a forged ID token", FORGED)):
        answer = gateway.ask("GET", "/v1/models", credential=credential)
        if answer.status != 401:
            raise Failed(f"{what} was answered {answer.status}")
    return "401 without a credential, 401 with a forged one"


def _content(answer: Answer) -> str:
    try:
        content = answer.json()["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise Failed(f"no completion: {answer.body[:200]!r}") from None
    if not content:
        raise Failed("an empty answer")
    return str(content)


def _expect(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise Failed(f"{answer.status}: {answer.body[:300].decode(errors='replace')}")


def run(gateway: Gateway, model: str) -> bool:
    """All three, whatever becomes of the first; says how each went."""
    steps: list[tuple[str, Callable[[], str]]] = [
        ("health", lambda: health(gateway)),
        ("turn", lambda: turn(gateway, model)),
        ("refusals", lambda: refusals(gateway)),
    ]
    went_well = [_told(name, step) for name, step in steps]
    return all(went_well)


def _told(name: str, step: Callable[[], str]) -> bool:
    try:
        print(f"ok      {name}: {step()}")
    except Failed as failed:
        print(f"FAILED  {name}: {failed}")
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Smoke test of a deployed gateway.")
    parser.add_argument("url")
    parser.add_argument("--model", default="preview", help="one of the upstream's")
    arguments = parser.parse_args()
    credential = os.environ.get("SMOKE_CREDENTIAL", "").strip()
    if not credential:
        sys.exit("SMOKE_CREDENTIAL is an API key or an ID token of the gateway")
    if not run(Gateway(arguments.url, credential), arguments.model):
        sys.exit(1)


if __name__ == "__main__":
    main()
