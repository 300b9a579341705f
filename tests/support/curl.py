"""A documented curl command as the request that it would send."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

import httpx


@dataclass(frozen=True)
class Command:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    def send(self, http: httpx.Client) -> httpx.Response:
        return http.request(self.method, self.url, headers=dict(self.headers), content=self.body)


def read(source: str, variables: Mapping[str, str]) -> Command:
    """Only what the reference uses is understood; anything else is an error of its."""
    joined = source.replace(" \\\n", " ")  # a shell joins what a backslash breaks
    program, silent, *words = shlex.split(Template(joined).substitute(variables))
    assert (program, silent) == ("curl", "-s")
    method, url, body = "", "", None
    headers: dict[str, str] = {}
    remaining = iter(words)
    for word in remaining:
        if word == "-X":
            method = next(remaining)
        elif word == "-H":
            name, _, value = next(remaining).partition(": ")
            headers[name] = value
        elif word == "--data-binary":
            body = next(remaining).encode()
        else:
            assert not url, word
            url = word
    return Command(method or ("GET" if body is None else "POST"), url, headers, body)
