"""The console's files over HTTP: their policy, how long they are kept, what is no file of it."""

import gzip
import re
from pathlib import Path

import httpx
import pytest

from support.certificates import AUDIENCE
from support.service import FUNCTIONS, Service, serving

pytestmark = pytest.mark.service

FOLDER = FUNCTIONS / "gateway" / "console"


def named(http: httpx.Client) -> list[str]:
    """The files that the page names."""
    return re.findall(r'(?:href|src)="(/console/[^"]+)"', http.get("/").text)


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: sources for name, _, sources in (part.partition(" ") for part in parts)}


def test_only_our_files_and_googles_sign_in_may_run(http: httpx.Client) -> None:
    policy = policy_of(http.get("/"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' https://accounts.google.com/gsi/client"
    assert policy["frame-src"] == "https://accounts.google.com/gsi/"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in http.get("/").headers["content-security-policy"]


def test_without_a_client_id_nothing_of_google_is_allowed(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        answer = httpx.get(f"{service.url}/")
        assert "google" not in answer.headers["content-security-policy"]
        told = httpx.get(f"{service.url}/console/config.json").json()
        assert told["google_client_id"] is None


def test_the_page_is_asked_for_again_and_its_files_are_kept(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["cache-control"] == "no-cache"
    unchanged = http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert named(http)
    for address in named(http):
        answer = http.get(address).raise_for_status()
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_are_packed_for_whoever_unpacks(http: httpx.Client) -> None:
    address = next(one for one in named(http) if one.endswith("main.js"))
    plain = http.get(address, headers={"accept-encoding": "identity"})
    assert plain.content == (FOLDER / "main.js").read_bytes()
    with http.stream("GET", address, headers={"accept-encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(packed.iter_raw())) == plain.content


def test_under_another_digest_a_file_is_not_kept(http: httpx.Client) -> None:
    assert http.get("/console/older/main.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["", "now", "now/", "now/index.html", "now/../app.py", "now/%2e%2e/app.py", "now/..%2fapp.py",
     "now/views", "now//etc/passwd", "now/main.js/", "now/nothing.js", "now/main.js%00.css"],
)  # fmt: skip
def test_what_is_no_file_of_it_is_not_there(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/console/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"


def test_the_config_tells_what_the_page_may_know(http: httpx.Client, service: Service) -> None:
    told = http.get("/console/config.json").json()
    assert told["google_client_id"] == AUDIENCE
    assert told["development_sign_in"] is False
    assert "upstream-key" not in str(told)


def test_every_file_that_a_module_names_is_there() -> None:
    for file in FOLDER.rglob("*.js"):
        if file.parent.name == "vendor":
            continue
        for name in re.findall(r'(?:from |import\()"(\.[^"]+)"', file.read_text()):
            assert (file.parent / name).is_file(), f"{file.name} names {name}"


def test_our_own_scripts_parse_no_markup() -> None:
    """Text becomes elements through `dom.js`, and Markdown through DOMPurify alone."""
    sinks = re.compile(
        r"(?:inner|outer)HTML\s*=|insertAdjacentHTML|document\.write|eval\(|Function\("
    )
    ours = [one for one in FOLDER.rglob("*.js") if one.parent.name != "vendor"]
    assert len(ours) > 20
    assert [one.name for one in ours if sinks.search(one.read_text())] == []
