"""Usage, keys and administration in the browser, over answers shaped as their routes have them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from support.console import Console
from support.contracts import ADA, KeyRing, administered, usage

pytestmark = pytest.mark.service

Open = Callable[..., Console]


@pytest.fixture
def admin(open_console: Open) -> tuple[Console, list[tuple[str, str, object]]]:
    console = open_console()
    return console, administered(console)


def test_usage_is_shown_as_pictures_and_as_tables(open_console: Open) -> None:
    console = open_console()
    console.answers("**/v1/usage*", usage())
    page = console.opened().signed_in().page
    console.goes("Usage")
    totals = usage()["totals"]
    tiles = page.get_by_role("list", name="Totals")
    expect(tiles).to_contain_text(f"${totals['cost_saved_usd']:.2f}money saved")
    expect(tiles).to_contain_text(re.compile(r"7\d %of answers with memory"))
    expect(page.get_by_role("img", name=re.compile("Tokens by day: 21 days, sent"))).to_be_visible()
    page.get_by_text("As a table").first.click()
    expect(page.get_by_role("row", name=re.compile("2026-11-20"))).to_be_visible()
    expect(page.get_by_role("meter", name="Tokens a minute: 1,800 of 20,000 left")).to_be_visible()
    expect(page.get_by_text("no limit")).to_have_count(2)


def test_usage_of_nobody_is_no_empty_picture(open_console: Open) -> None:
    console = open_console()
    told = usage()
    nothing = dict.fromkeys(told["totals"], 0)
    days = [{"date": "2026-11-21", **nothing}]
    console.answers("**/v1/usage*", {**told, "days": days, "totals": nothing})
    console.opened().signed_in().goes("Usage")
    expect(console.page.get_by_text("Nothing was sent in this time.")).to_be_visible()


def test_a_key_is_made_shown_once_named_and_revoked(open_console: Open) -> None:
    console = open_console()
    ring = KeyRing(console)
    page = console.opened().signed_in().page
    console.goes("Keys")
    expect(page.get_by_text("No keys yet.")).to_be_visible()
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("laptop")
    page.get_by_label("Change the memory").uncheck()
    page.get_by_role("button", name="Make").click()
    dialog = page.get_by_role("dialog", name="“laptop” is made")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("The key")).to_have_text(ring.keys[0]["key"])
    assert ring.keys[0]["scopes"] == ["chat", "memory:read"]
    dialog.get_by_role("button", name="I have it").click()
    expect(page.get_by_text(ring.keys[0]["key"])).to_have_count(0)
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("desktop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="desktop")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("list", name="Keys")).to_contain_text("revoked")
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)


def test_only_admins_see_the_administration(console: Console) -> None:
    expect(console.page.get_by_role("link", name="Keys")).to_be_visible()
    expect(console.page.get_by_role("link", name="Admin")).to_have_count(0)
    console.goes("admin/people")
    expect(console.page.get_by_role("heading", name="Admin")).to_have_count(0)


def test_limits_are_set_for_one_person(
    admin: tuple[Console, list[tuple[str, str, object]]],
) -> None:
    console, sent = admin
    page = console.opened().signed_in().page
    console.goes("Admin")
    person = page.get_by_role("list", name="People").get_by_role("listitem").first
    expect(person).to_contain_text("41 requests")
    person.get_by_role("button", name="Limits").click()
    expect(page.get_by_label("Requests a minute")).to_have_value("120")
    page.get_by_label("Requests a minute").fill("30")
    page.get_by_label("Tokens a day").fill("0")
    page.get_by_role("button", name="Set").click()
    console.notice("Set.")
    ((method, path, body),) = sent
    assert (method, path) == ("PUT", f"limits/{ADA}")
    assert body == {
        "limits": {"requests_per_minute": 30, "tokens_per_minute": None},
        "budgets": {
            "daily_tokens": 0,
            "monthly_tokens": None,
            "daily_cost_usd": None,
            "monthly_cost_usd": None,
        },
    }


def test_a_hold_is_placed_after_a_question(
    admin: tuple[Console, list[tuple[str, str, object]]],
) -> None:
    console, sent = admin
    page = console.opened().signed_in().page
    console.goes("Admin")
    page.get_by_role("button", name="Legal hold").click()
    assert sent == []
    page.get_by_role("dialog").get_by_role("button", name="Place it").click()
    console.notice("Held.")
    assert [one[:2] for one in sent] == [("PUT", f"holds/{ADA}")]


def test_a_flag_is_switched(admin: tuple[Console, list[tuple[str, str, object]]]) -> None:
    console, sent = admin
    console.opened().signed_in().goes("admin/flags")
    console.page.get_by_label("ENABLE_REDACTION").select_option("On")
    console.notice("Set.")
    assert sent == [("PUT", "flags", {"flags": {"ENABLE_REDACTION": True}})]


def test_the_cleanup_is_tried_dry_before_it_runs(
    admin: tuple[Console, list[tuple[str, str, object]]],
) -> None:
    console, sent = admin
    page = console.opened().signed_in().page
    console.goes("admin/retention")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("region", name="Report")).to_contain_text("What would happen")
    expect(page.get_by_role("region", name="Report")).to_contain_text("archived41")
    page.get_by_role("button", name="Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run").click()
    expect(page.get_by_role("region", name="Report")).to_contain_text("What happened")
    assert [one[2] for one in sent] == [{"dry_run": True}, {"dry_run": False}]


def test_health_and_audit_are_told(admin: tuple[Console, list[tuple[str, str, object]]]) -> None:
    console, _ = admin
    page = console.opened().signed_in().page
    console.goes("admin/health")
    expect(page.get_by_text("the circuit is open")).to_be_visible()
    expect(page.locator(".figures")).to_contain_text("retriever circuitopen")
    console.goes("admin/audit")
    expect(page.get_by_role("list", name="Audit lines")).to_contain_text("limits.set")
