"""What is remembered, in the browser: found, changed, forgotten, taken along, brought back."""

import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Locator, expect

from support.chats import UNRELATED
from support.console import Console
from support.upstream import Answer, LoopbackUpstream, completion

pytestmark = pytest.mark.service

TOLD = "My dachshund is called Rex and he likes apples."
LONG_AGO = 1_700_000_000


def rows(console: Console, name: str = "Remembered messages") -> Locator:
    return console.page.get_by_role("list", name=name).get_by_role("listitem")


def press(row: Locator, name: str) -> None:
    row.get_by_role("button", name=name).click()


def test_everything_is_listed_and_searched(console: Console) -> None:
    console.keeps(TOLD, *UNRELATED)
    console.goes("Memory")
    expect(rows(console)).to_have_count(1 + len(UNRELATED))
    console.page.get_by_role("searchbox", name="Search the memory").fill("What does Rex like?")
    console.page.get_by_role("button", name="Search").click()
    expect(rows(console).first).to_contain_text(TOLD)
    expect(console.page.get_by_text("The best match first.")).to_be_visible()


def test_filters_narrow_what_is_listed(console: Console) -> None:
    page = console.page
    console.keeps("Long ago we lived in Oslo.", session="old", at=LONG_AGO)
    console.keeps(TOLD, session="pets")
    console.request("POST", "/v1/items", {"content": "The oven runs cold.", "item_type": "fact"})
    console.goes("Memory")
    expect(rows(console)).to_have_count(3)
    page.get_by_label("To", exact=True).fill("2023-11-14")
    expect(rows(console)).to_have_text([re.compile("Oslo")])
    page.get_by_label("From", exact=True).fill("2023-11-15")
    expect(rows(console)).to_have_count(0)
    expect(page.get_by_text("Nothing like that is remembered.")).to_be_visible()
    page.get_by_label("To", exact=True).fill("")
    page.get_by_label("From", exact=True).fill("")
    page.get_by_label("Kind").select_option("fact")
    expect(rows(console)).to_have_text([re.compile("oven")])
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Conversation").select_option("pets")
    expect(rows(console)).to_have_text([re.compile("dachshund")])


def test_a_message_is_edited_pinned_and_forgotten(console: Console) -> None:
    (id,) = console.keeps(TOLD)
    console.goes("Memory")
    press(rows(console).first, "Pin")
    expect(rows(console).first).to_contain_text("Pinned")
    press(rows(console).first, "Edit")
    console.page.get_by_role("dialog").get_by_label("Text").fill("Rex likes pears.")
    console.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(rows(console).first).to_contain_text("Rex likes pears.")
    told = console.request("GET", f"/v1/messages/{id}")
    assert (told["content"], told["pin"]) == ("Rex likes pears.", True)
    press(rows(console).first, "Forget")
    console.page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(rows(console)).to_have_count(0)
    assert console.request("GET", "/v1/items")["data"] == []


def test_a_note_is_added(console: Console) -> None:
    console.goes("Memory")
    console.page.get_by_role("button", name="Add a note").click()
    console.page.get_by_role("dialog").get_by_label("Text").fill("The ladder is in the shed.")
    console.page.get_by_role("button", name="Remember").click()
    expect(rows(console)).to_have_text([re.compile("note.*The ladder is in the shed.", re.DOTALL)])


def test_the_archive_gives_back_what_is_wanted(
    console: Console, service: object, folder: Path
) -> None:
    """The cleanup archives what is old; here an export with archived messages is brought in."""
    line = {
        "type": "message",
        "session_id": "attic",
        "role": "user",
        "content": TOLD,
        "at": LONG_AGO,
        "archived": True,
    }
    console.request("POST", "/v1/memory/import", line)
    console.goes("memory/archive")
    row = rows(console, "Archived messages")
    expect(row).to_contain_text(TOLD)
    press(row, "Restore")
    console.notice("Restored and pinned.")
    expect(rows(console, "Archived messages")).to_have_count(0)
    (kept,) = console.request("GET", "/v1/items")["data"]
    assert (kept["content"], kept["pin"], kept["thread_id"]) == (TOLD, True, "attic")


def test_a_fact_has_a_time_line_with_what_changed(console: Console) -> None:
    page = console.page
    console.goes("memory/facts")
    page.get_by_role("button", name="New").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Ada")
    page.get_by_role("dialog").get_by_label("What is so").fill("Lives in Oslo.")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    page.get_by_role("button", name="Replace").click()
    page.get_by_role("dialog").get_by_label("Statement").fill("Lives in Bergen.")
    page.get_by_role("button", name="Save").click()
    console.notice("Changed: a new version.")
    expect(page.get_by_text("What held before (1)")).to_be_visible()
    versions = page.get_by_role("region", name="Versions").get_by_role("listitem")
    expect(page.locator(".timeline > li")).to_have_count(2)
    page.locator(".timeline > li").first.locator("summary").click()
    expect(versions.first).to_contain_text("Lives in Bergen.")
    expect(page.get_by_role("list", name="Changes")).to_contain_text("contradicted")
    console.tolerates(404, "/v1/memory/entities/")
    page.get_by_label("As it was on").fill("2020-01-01")
    expect(page.get_by_text("Nothing was so of it then.")).to_be_visible()


def test_proposed_changes_are_dropped_and_accepted(
    console: Console, upstream: LoopbackUpstream
) -> None:
    page = console.page
    console.keeps(TOLD, session="pets")
    made = [
        {"op": "create", "kind": "other", "name": name, "statements": [{"text": text}]}
        for name, text in (("Rex", "Likes apples."), ("Moon", "Is made of cheese."))
    ]
    console.goes("memory/staged")
    page.get_by_role("combobox", name="Conversation").select_option("pets")
    upstream.queue(Answer.json(completion(orjson.dumps({"operations": made}).decode())))
    page.get_by_role("button", name="Find facts").click()
    proposed = page.get_by_role("region", name="Proposed of pets")
    expect(proposed.locator(".operations > li")).to_have_count(2)
    proposed.locator(".operations > li", has_text="Moon").get_by_role("button").click()
    expect(proposed.locator(".operations > li")).to_have_count(1)
    proposed.get_by_role("button", name="Accept it").click()
    console.notice("Recorded: 1 fact changed.")
    expect(page.get_by_text("Nothing is proposed.")).to_be_visible()
    names = [one["name"] for one in console.request("GET", "/v1/memory/entities")["data"]]
    assert names == ["Rex"]


def test_all_is_exported_erased_and_brought_back(console: Console, tmp_path: Path) -> None:
    page = console.page
    console.keeps(TOLD, *UNRELATED)
    before = console.request("GET", "/v1/items")["data"]
    console.goes("memory/data")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert orjson.loads(file.read_bytes().splitlines()[-1])["type"] == "end"
    page.get_by_role("button", name="Forget everything").click()
    dialog = page.get_by_role("dialog")
    sure = dialog.get_by_role("button", name="Forget everything")
    expect(sure).to_be_disabled()
    dialog.get_by_label("Type “forget everything” to go on").fill("Forget everything")
    sure.click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    expect(page.locator(".receipt")).to_contain_text("The last backup is gone")
    assert console.request("GET", "/v1/items")["data"] == []
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Imported: 9 new.")).to_be_visible()
    after = console.request("GET", "/v1/items")["data"]
    assert sorted(one["id"] for one in after) == sorted(one["id"] for one in before)


def test_a_file_that_is_no_export_is_told_line_by_line(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text('{"type": "message", "role": "user", "content": "Kept."}\nnot json\n')
    console.goes("memory/data")
    console.page.get_by_label("File").set_input_files(file)
    console.page.get_by_role("button", name="Import").click()
    expect(console.page.get_by_text(re.compile("Imported: 1 new, 1 refused"))).to_be_visible()
    console.page.get_by_text("What was refused (1)").click()
    expect(console.page.get_by_text(re.compile("Line 2:"))).to_be_visible()


def test_an_empty_memory_says_so_in_every_part(console: Console) -> None:
    for part, said in (
        ("everything", "Nothing like that is remembered."),
        ("facts", "No facts yet."),
        ("staged", "Nothing is proposed."),
        ("archive", "Nothing is archived."),
    ):
        console.goes(f"memory/{part}")
        expect(console.page.get_by_text(said)).to_be_visible()


def test_a_store_that_is_away_is_told_with_a_way_to_try_again(console: Console) -> None:
    refusal = {
        "error": {"message": "The store is unavailable.", "type": "x", "code": "unavailable"}
    }
    answers: list[int] = []

    def fail_once(route: object) -> None:
        answers.append(503)
        if len(answers) == 1:
            route.fulfill(status=503, json=refusal)  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    console.keeps(TOLD)
    console.tolerates(503, "/v1/items")
    console.answers("**/v1/items*", fail_once)
    console.goes("Memory")
    expect(
        console.page.get_by_role("alert").filter(has_text="store is unavailable")
    ).to_be_visible()
    console.page.get_by_role("button", name="Try again").click()
    expect(rows(console)).to_have_count(1)


def test_another_memory_is_chosen_by_its_workspace(
    console: Console, open_console: Callable[..., Console]
) -> None:
    console.keeps("Only mine.")
    console.request("POST", "/v1/workspaces", {"name": "Household"})
    again = open_console().opened().signed_in(console.name)
    again.page.get_by_label(f"Account of {console.name}").click()
    again.page.get_by_label("Whose memory").select_option(label="Household (owner)")
    again.goes("Memory")
    expect(again.page.get_by_text("Nothing like that is remembered.")).to_be_visible()
