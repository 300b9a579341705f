"""What was used, what is left, and keys for apps: seen and done in the browser."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from support.console import Console, subject

pytestmark = pytest.mark.service

Open = Callable[..., Console]


def allowed(console: Console, by: str, **budgets: float) -> None:
    """An admin's word about this person."""
    body = {"limits": {"tokens_per_minute": 20_000}, "budgets": budgets}
    console.request("PUT", f"/v1/admin/limits/{subject(console.name)}", body, by)


def models_seen_with(console: Console, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{console.url}/v1/models", headers=headers).status_code


def test_usage_is_shown_as_pictures_and_as_tables(admin: Console) -> None:
    allowed(admin, admin.name, daily_tokens=1_000_000)
    page = admin.goes("Usage").page
    told = admin.request("GET", "/v1/usage")
    totals, day = told["totals"], told["days"][-3]
    assert totals["answers_with_memory"] > 0
    tiles = page.get_by_role("list", name="Totals")
    expect(tiles).to_contain_text(f"${totals['cost_saved_usd']:,.2f}money saved")
    expect(tiles).to_contain_text(re.compile(r"7\d%of answers with memory"))
    expect(page.get_by_role("img", name=re.compile("Tokens by day: 30 days, sent"))).to_be_visible()
    page.get_by_text("As a table").first.click()
    row = f"{day['tokens_after']:,} {day['tokens_saved']:,}"
    expect(page.get_by_role("row", name=re.compile(re.escape(row)))).to_be_visible()
    left = told["limits"]["daily_token_budget"]["remaining"]
    expect(
        page.get_by_role("meter", name=f"Tokens today: {left:,} of 1,000,000 left")
    ).to_be_visible()
    expect(page.get_by_text("no limit")).to_have_count(4)


def test_usage_of_nobody_is_no_empty_picture(console: Console) -> None:
    console.goes("Usage")
    expect(console.page.get_by_text("Nothing was sent in this time.")).to_be_visible()
    expect(console.page.get_by_role("list", name="Totals")).to_contain_text("0requests0 answers")


def test_a_budget_nearly_spent_is_told_and_one_that_is_spent_says_what_to_do(
    admin: Console,
) -> None:
    used = admin.request("GET", "/v1/usage")["days"][-1]["tokens"]
    allowed(admin, admin.name, daily_tokens=int(used / 0.9))
    expect(admin.says("Hello")).to_contain_text(re.compile(r"You have used 9\d% of today's tokens"))
    allowed(admin, admin.name, daily_tokens=used)
    admin.tolerates(429, "/v1/chat/completions")
    admin.sends("And now?")
    fault = admin.answer().get_by_role("alert")
    expect(fault).to_contain_text("You exceeded your daily token budget")
    expect(fault).to_contain_text(re.compile(r"It begins anew in \d+ (hour|minute)s?"))
    expect(fault).to_contain_text("whoever runs this service can allow more")


def test_a_key_is_made_shown_once_named_and_revoked(console: Console) -> None:
    page = console.goes("Keys").page
    expect(page.get_by_text("No keys yet.")).to_be_visible()
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("laptop")
    page.get_by_label("Change the memory").uncheck()
    page.get_by_role("button", name="Make").click()
    dialog = page.get_by_role("dialog", name="“laptop” is made")
    secret = dialog.get_by_label("The key").inner_text()
    assert models_seen_with(console, secret) == 200
    (made,) = console.request("GET", "/v1/keys")["data"]
    assert made["scopes"] == ["chat", "memory:read"]
    dialog.get_by_role("button", name="I have it").click()
    expect(page.get_by_text(secret)).to_have_count(0)
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("desktop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="desktop")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("list", name="Keys")).to_contain_text("revoked")
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    assert models_seen_with(console, secret) == 401


def test_only_admins_are_offered_a_key_that_administers(console: Console, admin: Console) -> None:
    for one, offered in ((console, 0), (admin, 1)):
        one.goes("Keys").page.get_by_role("button", name="New key").click()
        expect(one.page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
        expect(one.page.get_by_label("Administer this service")).to_have_count(offered)


def test_a_key_needs_a_right(console: Console) -> None:
    page = console.goes("Keys").page
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("nothing")
    for right in ("Chat", "Read the memory", "Change the memory"):
        page.get_by_role("dialog").get_by_label(right).uncheck()
    page.get_by_role("button", name="Make").click()
    console.notice("choose at least one right")
    assert console.request("GET", "/v1/keys")["data"] == []
