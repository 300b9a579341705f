"""What the page costs to load: its bytes as they are sent, and what its first picture waits for."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Response, expect

from support.console import GOOGLE_SCRIPT, Console
from support.service import Service

pytestmark = pytest.mark.service

MOST_BYTES = 250_000
VIEWS = ("Memory", "Usage", "Keys", "Chat")

Open = Callable[..., Console]


def test_all_of_the_page_is_under_250_kilobytes(open_console: Open) -> None:
    console = open_console()
    answers: list[Response] = []
    console.page.on("response", lambda answer: answers.append(answer))
    console.opened().signed_in()
    console.says("**Hello**")
    for view in VIEWS:
        console.goes(view)
        expect(console.page.get_by_role("link", name=view, exact=True)).to_have_attribute(
            "aria-current", "page"
        )
    console.page.wait_for_load_state("networkidle")
    ours = [one for one in answers if one.url.startswith(f"{console.url}/")]
    files = [one for one in ours if "/v1/" not in one.url and "/development/" not in one.url]
    assert any(one.url.endswith("/vendor/purify.js") for one in files)
    sizes = {one.url: one.request.sizes() for one in files}
    total = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes.values())
    assert 50_000 < total < MOST_BYTES
    assert {one.headers.get("content-encoding") for one in files if one.url.endswith(".js")} == {
        "gzip"
    }


def test_nothing_is_asked_of_another_host(open_console: Open) -> None:
    console = open_console()
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    console.opened().signed_in()
    console.says("![](https://evil.test/x.png) Hello")
    assert [one for one in asked if not one.startswith(f"{console.url}/")] == []


def test_the_first_picture_does_not_wait_for_google(open_console: Open, deployed: Service) -> None:
    """Google's script is asked for and never answered; the page is there all the same."""
    console = open_console(deployed.url)
    held: list[object] = []
    console.page.route(GOOGLE_SCRIPT, lambda route: held.append(route))
    console.opened()
    expect(console.page.get_by_role("heading", name="memory-ops")).to_be_visible()
    expect(console.page.get_by_text("Waiting for Google")).to_be_visible()
    paints = console.page.evaluate("performance.getEntriesByName('first-contentful-paint').length")
    assert (len(held), paints) == (1, 1)


def test_the_words_are_there_before_any_script(service: Service) -> None:
    page = httpx.get(f"{service.url}/").text
    assert "A conversation that remembers, and can say why." in page
    assert page.count("<script") == 1
    assert 'type="module"' in page
