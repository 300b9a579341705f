"""With Google, whose script is a stand-in that hands over really signed tokens; and locally."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from gateway.identity.development import DevelopmentIssuer
from support.certificates import AUDIENCE
from support.console import GOOGLE_SCRIPT, Console
from support.service import Service, serving

pytestmark = pytest.mark.service

STUB = Path(__file__).with_name("google.js")
HOUR_SECONDS = 3600

Open = Callable[..., Console]


def with_google(console: Console, tokens: Sequence[str], *, auto_select: bool = False) -> Console:
    script = STUB.read_text().replace("TOKENS", json.dumps(list(tokens)))
    script = script.replace("AUTO_SELECT", json.dumps(auto_select))
    console.page.route(
        GOOGLE_SCRIPT,
        lambda route: route.fulfill(body=script, content_type="text/javascript"),
    )
    return console


def expired(issuer: DevelopmentIssuer, folder: Path, name: str) -> str:
    """Signed with the same key, two hours ago."""
    past = DevelopmentIssuer(folder / "issuer.pem", lambda: time.time() - 2 * HOUR_SECONDS)
    assert past.certificates().keys() == issuer.certificates().keys()
    return past.issue(name, AUDIENCE)


def inside(console: Console, name: str) -> None:
    expect(console.page.get_by_label(f"Account of {name}")).to_be_visible()


def test_google_signs_in(open_console: Open, deployed: Service, issuer: DevelopmentIssuer) -> None:
    console = with_google(open_console(deployed.url), [issuer.issue("Grace", AUDIENCE)]).opened()
    console.page.get_by_role("button", name="Sign in with Google").click()
    inside(console, "Grace")
    expect(console.says("Hello")).to_contain_text("echo: Hello")
    options = console.page.evaluate("stub.options")
    assert (options["client_id"], options["auto_select"]) == (AUDIENCE, True)


def test_one_tap_signs_in_without_a_click(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer
) -> None:
    token = issuer.issue("Grace", AUDIENCE)
    inside(with_google(open_console(deployed.url), [token], auto_select=True).opened(), "Grace")


def test_the_token_is_in_no_storage(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer
) -> None:
    token = issuer.issue("Grace", AUDIENCE)
    console = with_google(open_console(deployed.url), [token], auto_select=True).opened()
    inside(console, "Grace")
    console.says("Hello")
    kept = console.page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert token.split(".")[2] not in kept


def test_sign_out_forgets_the_person(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer
) -> None:
    token = issuer.issue("Grace", AUDIENCE)
    console = with_google(open_console(deployed.url), [token], auto_select=True).opened()
    console.page.get_by_label("Account of Grace").click()
    console.page.get_by_role("button", name="Sign out").click()
    expect(console.page.get_by_role("button", name="Sign in with Google")).to_be_visible()
    assert console.page.evaluate("stub.left") is True
    expect(console.page.get_by_role("navigation", name="Views")).to_have_count(0)


def test_the_token_is_renewed_before_its_hour_ends(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer
) -> None:
    old, new = issuer.issue("Grace", AUDIENCE), issuer.issue("Grace", AUDIENCE, HOUR_SECONDS + 60)
    console = with_google(open_console(deployed.url), [old, new], auto_select=True)
    console.page.clock.install()
    console.opened()
    inside(console, "Grace")
    box = console.page.get_by_role("textbox", name="Message")
    box.fill("A draft")
    console.page.clock.fast_forward((HOUR_SECONDS - 4 * 60) * 1000)
    console.page.wait_for_function("stub.prompts === 2 && stub.tokens.length === 0")
    with console.page.expect_request("**/v1/chat/completions") as asked:
        box.press("Enter")
    assert asked.value.headers["authorization"] == f"Bearer {new}"
    expect(console.answer()).to_contain_text("echo: A draft")


def test_an_expired_sign_in_keeps_what_was_being_written(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer, folder: Path
) -> None:
    good, stale = issuer.issue("Grace", AUDIENCE), expired(issuer, folder, "Grace")
    console = with_google(open_console(deployed.url), [good, stale], auto_select=True)
    console.tolerates(401, "/v1/memory/status")
    console.tolerates(401, "/v1/items")
    console.tolerates(401, "/v1/sessions")
    console.page.clock.install()
    console.opened()
    inside(console, "Grace")
    box = console.page.get_by_role("textbox", name="Message")
    box.fill("A draft")
    console.page.clock.fast_forward((HOUR_SECONDS - 4 * 60) * 1000)
    console.page.wait_for_function("stub.tokens.length === 0")
    console.goes("Memory")
    dialog = console.page.get_by_role("dialog", name="Your sign-in has run out")
    expect(dialog).to_be_visible()
    again = issuer.issue("Grace", AUDIENCE)
    console.page.evaluate("(token) => { stub.tokens = [token]; }", again)
    dialog.get_by_role("button", name="Sign in with Google").click()
    expect(dialog).to_have_count(0)
    console.goes("Chat")
    expect(box).to_have_value("A draft")
    box.press("Enter")
    expect(console.answer()).to_contain_text("echo: A draft")


def test_an_account_of_another_domain_is_told_which_one_is_wanted(
    open_console: Open, settings: dict[str, str], issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    with serving(tmp_path, GOOGLE_HOSTED_DOMAIN="example.org", **settings) as service:
        console = with_google(open_console(service.url), [issuer.issue("Grace", AUDIENCE)])
        console.tolerates(401, "/v1/workspaces")
        console.tolerates(401, "/v1/me")
        console.opened().page.get_by_role("button", name="Sign in with Google").click()
        told = console.page.get_by_role("alert").filter(has_text="another domain")
        expect(told).to_contain_text("accounts of example.org alone")
        expect(console.page.get_by_role("button", name="Sign in with Google")).to_be_visible()


def test_a_blocked_google_is_told_and_tried_again(
    open_console: Open, deployed: Service, issuer: DevelopmentIssuer
) -> None:
    console = open_console(deployed.url).opened()
    alert = console.page.get_by_role("alert").filter(has_text="could not be loaded")
    expect(alert).to_be_visible()
    with_google(console, [issuer.issue("Grace", AUDIENCE)])
    console.page.get_by_role("button", name="Try again").click()
    console.page.get_by_role("button", name="Sign in with Google").click()
    inside(console, "Grace")
    console.complaints[:] = [one for one in console.complaints if "net::ERR_" not in one]


def test_locally_anybody_signs_in_under_any_name(open_console: Open) -> None:
    console = open_console().opened().signed_in("Zoë 🐕")
    inside(console, "Zoë 🐕")
    expect(console.page.get_by_role("button", name="Sign in with Google")).to_have_count(0)


def test_in_production_there_is_no_local_sign_in(open_console: Open, deployed: Service) -> None:
    told = httpx.get(f"{deployed.url}/console/config.json").json()
    assert (told["development_sign_in"], told["google_client_id"]) == (False, AUDIENCE)
    assert httpx.post(f"{deployed.url}/development/token", json={"name": "x"}).status_code == 404
    console = with_google(open_console(deployed.url), []).opened()
    expect(console.page.get_by_role("button", name="Sign in with Google")).to_be_visible()
    expect(console.page.get_by_label("Your name")).to_have_count(0)
