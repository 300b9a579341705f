"""What admins see and do in the browser, and what comes of it for others."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Locator, expect

from gateway.accounts.workspace import digest
from support.console import Console, subject

pytestmark = pytest.mark.service

LONG_AGO = 1_600_000_000
SAID, IN_USE = 30, 12  # the session's newest turns stay with it: it was written to just now

Open = Callable[..., Console]


@pytest.fixture
def somebody(admin: Console, names: Iterator[str]) -> str:
    """The name of a person who has said something today."""
    name = next(names)
    admin.keeps("My dachshund is called Rex.", by=name)
    return name


def row_of(admin: Console, name: str) -> Locator:
    people = admin.goes("admin/people").page.get_by_role("list", name="People")
    code = admin.page.get_by_text(subject(name), exact=True)
    return people.get_by_role("listitem").filter(has=code)


def choose(admin: Console, action: str) -> None:
    admin.page.get_by_role("dialog").get_by_role("button", name=action).click()


def test_only_admins_see_the_administration(console: Console) -> None:
    expect(console.page.get_by_role("link", name="Keys")).to_be_visible()
    expect(console.page.get_by_role("link", name="Admin")).to_have_count(0)
    console.goes("admin/people")
    expect(console.page.get_by_role("heading", name="New conversation")).to_be_visible()
    expect(console.page.get_by_role("heading", name="Admin")).to_have_count(0)


def test_people_are_listed_with_their_usage(admin: Console) -> None:
    today = admin.request("GET", "/v1/usage")["days"][-1]
    row = row_of(admin, admin.name)
    expect(row).to_contain_text(f"{today['requests']} requests")
    row.get_by_role("button", name="30 days").click()
    expect(row.get_by_role("list", name="Totals")).to_contain_text("money saved")


def test_everybodys_usage_is_added_up(admin: Console) -> None:
    page = admin.goes("admin/usage").page
    totals = admin.request("GET", "/v1/admin/usage")["totals"]
    expect(page.get_by_role("list", name="Totals")).to_contain_text(f"{totals['requests']:,}")
    expect(page.get_by_role("heading", name="People by day")).to_be_visible()


def test_limits_are_set_for_one_person_and_taken_back(admin: Console, somebody: str) -> None:
    page, path = admin.page, f"/v1/admin/limits/{subject(somebody)}"
    row = row_of(admin, somebody)
    expect(row).to_contain_text("no limits")
    row.get_by_role("button", name="Limits").click()
    page.get_by_label("Requests a minute").fill("30")
    page.get_by_label("Dollars a day").fill("2.5")
    choose(admin, "Set")
    admin.notice("Set.")
    expect(row).to_contain_text("may 30 requests a minute, $2.50 a day")
    told = admin.request("GET", path)
    assert (told["limits"]["requests_per_minute"], told["budgets"]["daily_cost_usd"]) == (30, 2.5)
    left = admin.request("GET", "/v1/usage", by=somebody)["limits"]["requests_per_minute"]
    assert left["limit"] == 30
    row.get_by_role("button", name="Limits").click()
    expect(page.get_by_label("Requests a minute")).to_have_value("30")
    page.get_by_label("Requests a minute").fill("")
    page.get_by_label("Dollars a day").fill("")
    choose(admin, "Set")
    admin.notice("As for everybody again.")
    expect(row).to_contain_text("no limits")


def test_a_held_memory_can_be_erased_once_the_hold_is_lifted(admin: Console, somebody: str) -> None:
    row = row_of(admin, somebody)
    row.get_by_role("button", name="Legal hold").click()
    choose(admin, "Cancel")
    expect(row.get_by_text("legal hold", exact=True)).to_have_count(0)
    row.get_by_role("button", name="Legal hold").click()
    choose(admin, "Place it")
    expect(row.get_by_text("legal hold", exact=True)).to_be_visible()
    assert admin.asks("DELETE", "/v1/memory", by=somebody).status_code == 409
    held = admin.goes("admin/holds").page.get_by_role("list", name="Legal holds")
    line = held.get_by_role("listitem").filter(has_text=digest(subject(somebody)))
    expect(line).to_contain_text(f"by {subject(admin.name)}")
    line.get_by_role("button", name="Lift the hold").click()
    choose(admin, "Lift it")
    expect(line).to_have_count(0)
    assert admin.asks("DELETE", "/v1/memory", by=somebody).status_code == 200


def test_a_hold_is_placed_by_id_and_a_wrong_id_is_told(admin: Console, somebody: str) -> None:
    page = admin.goes("admin/holds").page
    admin.tolerates(404, "/v1/admin/holds/")
    for id, said in (("nobody", "Take the id from the list"), (digest(subject(somebody)), "Held.")):
        page.get_by_role("textbox", name="Memory").fill(id)
        page.get_by_role("button", name="Place a hold").click()
        choose(admin, "Place it")
        admin.notice(said)
    expect(page.get_by_role("list", name="Legal holds")).to_contain_text(digest(subject(somebody)))


def test_anybodys_key_is_revoked(admin: Console, somebody: str) -> None:
    made = admin.request("POST", "/v1/keys", {"name": "tablet", "scopes": ["chat"]}, somebody)
    page = admin.goes("admin/keys").page
    page.get_by_label("Whose").fill(subject(somebody))
    page.get_by_role("button", name="Show").click()
    row = page.get_by_role("list", name="Everybody's keys").get_by_role("listitem")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("tablet")
    row.get_by_role("button", name="Revoke").click()
    choose(admin, "Revoke")
    expect(row).to_contain_text("revoked")
    answer = httpx.get(f"{admin.url}/v1/models", headers={"x-api-key": made["key"]})
    assert answer.status_code == 401


def test_a_flag_is_switched_for_one_memory(admin: Console, somebody: str) -> None:
    page, id = admin.goes("admin/flags").page, digest(subject(somebody))
    flag = page.get_by_role("list", name="Flags").get_by_role("listitem")
    expect(flag).to_have_count(5)
    page.get_by_label("Workspace").fill(id)
    page.get_by_role("button", name="Show").click()
    row = flag.filter(has_text="ENABLE_REDACTION")
    expect(row.locator(".tag")).to_have_text("on")
    row.get_by_label("ENABLE_REDACTION").select_option("Off")
    admin.notice("Set.")
    expect(row.locator(".tag")).to_have_text("off")
    told = admin.request("GET", f"/v1/admin/flags/{id}")
    assert (told["flags"]["ENABLE_REDACTION"], told["overrides"]["ENABLE_REDACTION"]) == (
        False,
        False,
    )
    row.get_by_label("ENABLE_REDACTION").select_option("As set")
    expect(row.locator(".tag")).to_have_text("on")


def test_the_cleanup_is_tried_dry_before_it_runs(admin: Console, names: Iterator[str]) -> None:
    name = next(names)
    admin.keeps(*(f"The walk number {n}." for n in range(SAID)), by=name, at=LONG_AGO)
    page = admin.goes("admin/retention").page
    report = page.get_by_role("region", name="Report")
    page.get_by_role("button", name="Dry run").click()
    expect(report).to_contain_text("What would happen")
    archive = "/v1/memory/archive?limit=100"
    assert admin.request("GET", archive, by=name)["data"] == []
    page.get_by_role("button", name="Run now").click()
    choose(admin, "Run")
    expect(report).to_contain_text("What happened")
    assert len(admin.request("GET", archive, by=name)["data"]) == SAID - IN_USE


def test_health_and_audit_are_told(admin: Console) -> None:
    page = admin.goes("admin/health").page
    expect(page.get_by_role("list", name="What was looked at")).to_contain_text("Model provider")
    retriever = page.get_by_role("region", name="Ranking")
    expect(retriever).to_contain_text("shared words alone")
    expect(page.get_by_role("region", name="Limits")).to_contain_text("lets nobody in")
    admin.goes("admin/people")
    admin.goes("admin/audit")
    line = page.get_by_role("list", name="Audit lines").get_by_role("listitem")
    mine = line.filter(has_text=f"{subject(admin.name)} →")
    expect(mine.filter(has_text="identities.list").first).to_be_visible()
