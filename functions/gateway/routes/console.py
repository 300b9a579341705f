"""The console: one web page at `/`, its files under `/console/`, what they have to know.

The files stand in `gateway/console` as a browser runs them. They are read at the first request for
them, so that no cold start pays. Their address holds a digest of all of them and may be kept for
good; the page that names it is asked for again each time, with its ETag.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import NotFound
from gateway.routes.responses import json_response

NAME = re.compile(r"(?:[a-z0-9-]+/)*[a-z0-9-]+\.(?:js|css|svg|txt|webmanifest)")
PAGE = "index.html"
FOR_GOOD = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
}
# https://developers.google.com/identity/gsi/web/guides/get-google-api-clientid#content_security_policy
GOOGLE = "https://accounts.google.com/gsi"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent, to browsers that unpack and to those that do not."""

    body: bytes
    packed: bytes
    etag: str
    media_type: str


class Console:
    """`facts` is what `/console/config.json` tells; `google` whether Google signs people in."""

    def __init__(self, facts: Mapping[str, Any], *, google: bool) -> None:
        self._facts = dict(facts)
        self._google = google
        self._assets: dict[str, Asset] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/console/config.json", self.config, methods=["GET"]),
            Route("/console/{path:path}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        headers = {
            "cache-control": ASKED_AGAIN,
            "content-security-policy": policy(google=self._google),
            "cross-origin-opener-policy": "same-origin-allow-popups",
            "referrer-policy": _referrers(request),
        }
        return _answer(request, self._page, headers)

    async def config(self, _: Request) -> Response:
        return json_response(self._facts, headers={"cache-control": ASKED_AGAIN, **ALWAYS})

    async def file(self, request: Request) -> Response:
        """Under a digest that is not ours any more, the file as it is now: a page may be older."""
        version, _, name = request.path_params["path"].partition("/")
        kept = FOR_GOOD if version == self._version else ASKED_AGAIN
        return _answer(request, self._asset(name), {"cache-control": kept})

    def _asset(self, name: str) -> Asset:
        if name not in self._assets:
            found = self._folder.joinpath(name)
            if not NAME.fullmatch(name) or not found.is_file():
                raise NotFound("Unknown request URL.", code="unknown_url")
            self._assets[name] = _packed(found.read_bytes(), name)
        return self._assets[name]

    @cached_property
    def _page(self) -> Asset:
        page = self._folder.joinpath(PAGE).read_text("utf-8")
        return _packed(page.replace("{{version}}", self._version).encode(), PAGE)

    @cached_property
    def _version(self) -> str:
        digest = hashlib.sha256()
        for one in _all(self._folder):
            digest.update(hashlib.sha256(one.read_bytes()).digest())
        return digest.hexdigest()[:16]

    @property
    def _folder(self) -> Traversable:
        return files("gateway").joinpath("console")


ALWAYS = {"x-content-type-options": "nosniff"}


def policy(*, google: bool) -> str:
    """What a browser lets the page do: our own files and, where it signs in there, Google's."""
    beside = {
        "script-src": f" {GOOGLE}/client",
        "style-src": f" {GOOGLE}/style",
        "connect-src": f" {GOOGLE}/",
    }
    named = [f"{name} 'self'{source if google else ''}" for name, source in beside.items()]
    frames = [f"frame-src {GOOGLE}/"] if google else []
    return "; ".join(
        [
            "default-src 'none'",
            *named,
            *frames,
            "img-src 'self' data:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _referrers(request: Request) -> str:
    """Google wants to know the page's origin, and over plain HTTP, locally, no less than this."""
    plain = request.url.scheme == "http"
    return "no-referrer-when-downgrade" if plain else "strict-origin-when-cross-origin"


def _answer(request: Request, asset: Asset, headers: Mapping[str, str]) -> Response:
    told = {"etag": asset.etag, "vary": "accept-encoding", **ALWAYS, **headers}
    asked = request.headers.get("if-none-match", "")
    if asset.etag in {one.strip().removeprefix("W/") for one in asked.split(",")}:
        return Response(status_code=304, headers=told)
    if "gzip" in request.headers.get("accept-encoding", ""):
        told |= {"content-encoding": "gzip", "etag": f"W/{asset.etag}"}
        return Response(asset.packed, headers=told, media_type=asset.media_type)
    return Response(asset.body, headers=told, media_type=asset.media_type)


def _packed(body: bytes, name: str) -> Asset:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    packed = gzip.compress(body, 9, mtime=0)
    return Asset(body, packed, etag, MEDIA_TYPES[name.rpartition(".")[2]])


def _all(folder: Traversable) -> list[Traversable]:
    """Every file, in one order."""
    found = []
    for one in sorted(folder.iterdir(), key=lambda each: each.name):
        found += _all(one) if one.is_dir() else [one]
    return found
