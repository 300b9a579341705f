"""A Chromium for a module, one service for all tests of the console; a person for each test.

Whatever a page logs as an error, or its policy refuses, fails the test that opened it.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from playwright.sync_api import Browser, sync_playwright

from gateway.identity.development import DevelopmentIssuer
from support.certificates import AUDIENCE, CertificateServer, SigningKey
from support.chromium import ARGUMENTS, ChromiumMissing, executable
from support.console import Console, subject
from support.past import BUSY, live, month
from support.service import Service, serving
from support.upstream import LoopbackUpstream, echo

UPSTREAM_KEY = "upstream-key"
ADMINS = [f"Grace {number}" for number in range(1, 25)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module's tests: Playwright's event loop counts as running until it is stopped, and
    while it does, no asynchronous test can run in this process."""
    try:
        path = executable()
    except ChromiumMissing as missing:
        pytest.skip(str(missing))
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="session")
def issuer(folder: Path) -> DevelopmentIssuer:
    return DevelopmentIssuer(folder / "issuer.pem", time.time)


@pytest.fixture(scope="session")
def certificates(folder: Path, issuer: DevelopmentIssuer) -> Iterator[CertificateServer]:
    """Of the development issuer's own key, so that every service of a run can judge its tokens."""
    (kid,) = issuer.certificates()
    private = load_pem_private_key((folder / "issuer.pem").read_bytes(), password=None)
    assert isinstance(private, RSAPrivateKey)
    with CertificateServer(SigningKey(kid, private)) as server:
        yield server


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
def upstream(running_upstream: LoopbackUpstream) -> Iterator[LoopbackUpstream]:
    running_upstream.requests.clear()
    yield running_upstream
    running_upstream.default = echo


@pytest.fixture(scope="session")
def settings(
    folder: Path, running_upstream: LoopbackUpstream, certificates: CertificateServer
) -> dict[str, str]:
    return {
        "UPSTREAM_BASE": running_upstream.base_url,
        "UPSTREAM_API_KEY": UPSTREAM_KEY,
        "GOOGLE_CLIENT_ID": AUDIENCE,
        "GOOGLE_CERTS_URL": certificates.url,
        "DEVELOPMENT_KEY_FILE": str(folder / "issuer.pem"),
        "RETENTION_SCHEDULE_SECONDS": "0",  # no cleanup but the one that a test asks for
        "PRICE_PROMPT_PER_MILLION": "2",
        "PRICE_COMPLETION_PER_MILLION": "8",
    }


@pytest.fixture(scope="session")
def service(folder: Path, settings: dict[str, str]) -> Iterator[Service]:
    """A local run: anybody may sign in under any name. Its admins have used it for a month."""
    subjects = [subject(name) for name in ADMINS]
    past = {subject: month(number, BUSY) for number, subject in enumerate(subjects)}
    live(f"sqlite:///{folder / 'memory.db'}", time.time(), past)
    told = {**settings, "ADMIN_SUBJECTS": ",".join(subjects)}
    with serving(folder, DEVELOPMENT_ISSUER="true", **told) as running:
        yield running


@pytest.fixture(scope="session")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]
) -> Iterator[Service]:
    """Google signs people in, and nobody else."""
    with serving(tmp_path_factory.mktemp("deployed"), **settings) as running:
        yield running


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    return (f"Ada {number}" for number in itertools.count(1))


@pytest.fixture(scope="session")
def admins() -> Iterator[str]:
    return iter(ADMINS)


@pytest.fixture
def open_console(
    browser: Browser,
    service: Service,
    upstream: LoopbackUpstream,
    names: Iterator[str],
    admins: Iterator[str],
) -> Iterator[Callable[..., Console]]:
    """Opens the page, by default of the local run, in a fresh profile, for a person of its own."""
    opened: list[Console] = []

    def open_(url: str = service.url, *, admin: bool = False, **options: object) -> Console:
        opened.append(Console(browser, url, next(admins if admin else names), **options))
        return opened[-1]

    yield open_
    complaints = [one for console in opened for one in console.close()]
    assert complaints == []


@pytest.fixture
def console(open_console: Callable[..., Console]) -> Console:
    """Somebody signed in whose memory is empty."""
    return open_console().opened().signed_in()


@pytest.fixture
def admin(open_console: Callable[..., Console]) -> Console:
    """An admin signed in, with a month behind."""
    return open_console(admin=True).opened().signed_in()
