"""For everybody: no serious fault that axe finds, by keyboard alone, on a phone, in the dark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gateway.accounts.workspace import digest
from support.console import Console, subject

pytestmark = pytest.mark.service

AXE = Path(__file__).with_name("axe") / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TOLD = "My dachshund is called Rex and he likes apples."
VIEWS = [
    "chat",
    "memory/everything",
    "memory/facts",
    "memory/staged",
    "memory/archive",
    "memory/data",
    "usage",
    "keys",
    "admin/people",
    "admin/usage",
    "admin/keys",
    "admin/flags",
    "admin/retention",
    "admin/holds",
    "admin/health",
    "admin/audit",
]
PHONE = {"width": 320, "height": 640}

Open = Callable[..., Console]


def faults(console: Console, run_only: object = RULES) -> list[str]:
    """What axe calls serious or critical, each with the elements at fault."""
    if not console.page.evaluate("'axe' in window"):
        console.page.evaluate(AXE.read_text())
    run: Any = console.page.evaluate(
        "(rules) => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", run_only
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in run["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def peopled(console: Console) -> Console:
    """An admin with something to see in every view."""
    console.opened().signed_in()
    console.keeps(TOLD, session="pets")
    statements = [{"text": "Lives in Oslo."}]
    entity = {"kind": "person", "name": "Ada", "statements": statements}
    console.request("POST", "/v1/memory/entities", entity)
    for name in ("laptop", "old phone"):
        made = console.request("POST", "/v1/keys", {"name": name, "scopes": ["chat"]})
    console.request("DELETE", f"/v1/keys/{made['id']}")
    allowed = {"limits": {"tokens_per_minute": 20_000}, "budgets": {"monthly_cost_usd": 40.5}}
    console.request("PUT", f"/v1/admin/limits/{subject(console.name)}", allowed)
    console.request("PUT", f"/v1/admin/holds/{digest(subject(console.name))}")
    return console


def settled(console: Console, view: str) -> None:
    console.goes(view if "/" in view else f"{view}/")
    title = view.partition("/")[0].capitalize()
    expect(console.page).to_have_title(re.compile(title))
    expect(console.page.get_by_text("Reading …")).to_have_count(0)


def fits(console: Console) -> bool:
    """No sideways scrolling of the page, nor of what it shows."""
    return bool(
        console.page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth
              && document.querySelector("main").scrollWidth <= innerWidth"""
        )
    )


@pytest.mark.parametrize(
    ("theme", "rules"), [("light", RULES), ("dark", {"type": "rule", "values": ["color-contrast"]})]
)
def test_no_view_has_a_serious_fault(open_console: Open, theme: str, rules: object) -> None:
    """In the dark nothing but the colours is different."""
    console = open_console(admin=True, color_scheme=theme)
    console.opened()
    expect(console.page.get_by_label("Your name")).to_be_visible()
    assert faults(console, rules) == []
    peopled(console)
    console.says("What does my dachshund like? `code`\n\n| a |\n|--|\n| 1 |")
    expect(console.why().first).to_contain_text(TOLD)
    assert faults(console, rules) == []
    for view in VIEWS[1:]:
        settled(console, view)
        assert (view, faults(console, rules)) == (view, [])
    console.goes("memory/everything")
    console.page.get_by_role("button", name="Edit").first.click()
    assert faults(console, rules) == []


def test_at_320_pixels_everything_fits_and_can_be_reached(open_console: Open) -> None:
    console = peopled(open_console(admin=True, viewport=PHONE, has_touch=True))
    page = console.page
    console.says("What does my dachshund like?\n\n```\n" + "long " * 60 + "\n```")
    expect(console.why().first).to_contain_text(TOLD)
    assert fits(console)
    expect(page.get_by_role("textbox", name="Message")).to_be_in_viewport()
    for view in VIEWS[1:]:
        settled(console, view)
        assert (view, fits(console)) == (view, True)
    assert faults(console) == []
    console.goes("Chat")
    page.get_by_role("button", name="Conversations").click()
    page.get_by_role("list", name="Conversations").get_by_role("link").filter(
        has_text="dachshund is called"
    ).click()
    expect(page.get_by_label("You").filter(has_text=TOLD)).to_be_visible()


def test_the_dark_is_dark_and_a_choice_is_kept(open_console: Open) -> None:
    console = open_console(color_scheme="dark").opened().signed_in()
    page = console.page

    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    assert lightness() < 120
    page.get_by_role("button", name="Use light colours").click()
    assert lightness() > 600
    page.reload()
    console.signed_in()
    assert lightness() > 600


def test_by_keyboard_alone(open_console: Open) -> None:
    """Signed in, asked, explained, forgotten; the focus is never lost."""
    console = open_console().opened()
    page = console.page
    page.get_by_label("Your name").wait_for()
    focus = page.locator(":focus")

    def tab_to(name: str | re.Pattern[str], role: Any = "button", most: int = 40) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            wanted = page.get_by_role(role, name=name)
            if wanted.count() and page.evaluate(
                "(all) => all.includes(document.activeElement)", wanted.element_handles()
            ):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    page.keyboard.press("Tab")
    expect(focus).to_have_text("Skip to the content")
    tab_to("Your name", "textbox")
    page.keyboard.type(console.name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    console.keeps(TOLD)
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    expect(page.get_by_label("Model").locator("option")).not_to_have_count(0)
    page.keyboard.type("What does my dachshund like?")
    page.keyboard.press("Enter")
    expect(console.answer()).to_have_attribute("aria-busy", "false")
    page.get_by_role("region", name="Conversation", exact=True).focus()
    tab_to("Why")
    page.keyboard.press("Enter")
    expect(page.locator(".why-line").first).to_contain_text(TOLD)
    tab_to("Forget")
    page.keyboard.press("Enter")
    expect(focus).to_have_text("Forgotten. No later answer will know of it.")
    page.keyboard.press("Tab")
    expect(focus).not_to_have_count(0)


def test_a_dialog_gives_the_focus_back(console: Console) -> None:
    console.goes("Memory")
    button = console.page.get_by_role("button", name="Add a note")
    button.focus()
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("dialog").get_by_label("Text")).to_be_focused()
    console.page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_the_focus_is_seen(console: Console) -> None:
    console.page.keyboard.press("Tab")
    console.page.keyboard.press("Shift+Tab")
    width = console.page.evaluate(
        "parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
    )
    assert width >= 2
