"""A conversation in the browser: streamed, stopped, asked again, explained, kept in a list."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from support.console import Console
from support.upstream import Answer, Gate, LoopbackUpstream, chunks, sse

pytestmark = pytest.mark.service

TOLD = "My dachshund is called Rex and he likes apples."
ASKED = "What does my dachshund like?"


def test_an_answer_arrives_word_by_word_with_its_figures(
    console: Console, upstream: LoopbackUpstream
) -> None:
    gate = Gate()
    first, *rest = sse(*chunks("Rex likes **apples**."), "[DONE]")
    upstream.queue(Answer.stream(first, rest[0], gate, *rest[1:]))
    console.sends(ASKED)
    answer = console.answer()
    expect(answer).to_contain_text("Rex")
    expect(answer).to_have_attribute("aria-busy", "true")
    gate.open()
    expect(answer).to_have_attribute("aria-busy", "false")
    expect(answer.locator("strong")).to_have_text("apples")
    expect(answer).to_contain_text(re.compile(r"\d+ → \d+ tokens, 0 saved"))
    expect(answer).to_contain_text(re.compile(r"first word after [\d.]+ m?s"))
    expect(console.page.locator("#polite")).to_contain_text("Answer: Rex likes")


def test_a_stopped_answer_keeps_what_had_come(console: Console, upstream: LoopbackUpstream) -> None:
    gate = Gate()
    pieces = sse(*chunks("Rex likes apples."))
    upstream.queue(Answer.stream(*pieces[:3], gate))
    console.sends(ASKED)
    expect(console.answer()).to_contain_text("Rex likes")
    console.page.get_by_role("button", name="Stop the answer").click()
    expect(console.answer()).to_contain_text("Stopped. What had come is kept.")
    expect(console.page.get_by_role("button", name="Send")).to_be_visible()
    gate.open()


def test_a_first_question_asked_again_is_stored_once(
    console: Console, upstream: LoopbackUpstream
) -> None:
    upstream.queue(Answer.stream(*sse(*chunks("Pears?"), "[DONE]")))
    expect(console.says(ASKED)).to_contain_text("Pears?")
    console.answer().get_by_role("button", name="Retry").click()
    expect(console.answer()).to_contain_text(f"echo: {ASKED}")
    (session,) = console.request("GET", "/v1/sessions")["data"]
    stored = console.request("GET", f"/v1/sessions/{session['id']}/messages")["data"]
    assert [one["content"] for one in stored] == [ASKED, f"echo: {ASKED}"]


def test_a_later_question_asked_again_supersedes_its_answer(
    console: Console, upstream: LoopbackUpstream
) -> None:
    console.says(TOLD)
    upstream.queue(Answer.stream(*sse(*chunks("Pears?"), "[DONE]")))
    expect(console.says(ASKED)).to_contain_text("Pears?")
    console.answer().get_by_role("button", name="Retry").click()
    expect(console.answer()).to_contain_text(f"echo: {ASKED}")
    (session,) = console.request("GET", "/v1/sessions")["data"]
    stored = console.request("GET", f"/v1/sessions/{session['id']}/messages")["data"]
    active = [one["content"] for one in stored if one["active"]]
    assert active == [TOLD, f"echo: {TOLD}", ASKED, f"echo: {ASKED}"]
    assert [one["content"] for one in stored if not one["active"]] == ["Pears?"]


def test_what_is_not_to_be_kept_is_told_and_asked_again_it_is_stored_once(
    console: Console, upstream: LoopbackUpstream
) -> None:
    said = "Write to rex@example.com or ada@example.com about the dog."
    for number in (1, 2):
        console.says(said if number == 1 else f"Once more: {said}")
        told = console.page.get_by_label("You").last
        expect(told).to_contain_text("2 things were taken out before storing.")
    upstream.queue(Answer.stream(*sse(*chunks("Written."), "[DONE]")))
    console.answer().get_by_role("button", name="Retry").click()
    expect(console.answer()).to_contain_text("Written.")
    expect(console.answer()).to_have_attribute("aria-busy", "false")
    assert said.encode() in upstream.requests[-1].body
    (session,) = console.request("GET", "/v1/sessions")["data"]
    stored = console.request("GET", f"/v1/sessions/{session['id']}/messages")["data"]
    assert [one["role"] for one in stored if one["active"]] == ["user", "assistant"] * 2
    assert not any("@example.com" in one["content"] for one in stored)


def test_a_receipt_leads_to_where_it_was_said(console: Console) -> None:
    console.says(TOLD)
    console.begins_anew()
    console.says(ASKED)
    line = console.why().filter(has_text="You").first
    expect(line.locator("blockquote")).to_have_text(TOLD)
    expect(line.locator(".strength")).to_have_text(re.compile(r"\d\.\d\d"))
    expect(line.locator("time")).to_have_text(re.compile(r"\d{1,2} \w+ \d{4}"))
    line.get_by_role("link", name="Where it was said").click()
    found = console.page.locator(".found")
    expect(found).to_contain_text(TOLD)
    expect(found).to_be_focused()
    expect(found).to_be_in_viewport()


def test_what_is_forgotten_is_in_no_later_answer(
    console: Console, upstream: LoopbackUpstream
) -> None:
    console.keeps(TOLD)
    console.says(ASKED)
    assert TOLD.encode() in upstream.requests[-1].body
    line = console.why().first
    expect(line).to_contain_text(TOLD)
    line.get_by_role("button", name="Forget").click()
    expect(line).to_contain_text("Forgotten. No later answer will know of it.")
    console.begins_anew()
    console.says(ASKED)
    assert TOLD.encode() not in upstream.requests[-1].body


def test_a_line_is_pinned_from_the_receipt(console: Console) -> None:
    (id,) = console.keeps(TOLD)
    console.says(ASKED)
    pin = console.why().first.get_by_role("button", name="Pin")
    pin.click()
    expect(pin).to_have_attribute("aria-pressed", "true")
    assert console.request("GET", f"/v1/messages/{id}")["pin"] is True


def test_conversations_are_found_renamed_and_deleted(console: Console) -> None:
    page = console.page
    console.says(TOLD)
    console.begins_anew()
    console.says("The rent went up by forty euros.")
    rows = page.get_by_role("list", name="Conversations").get_by_role("listitem")
    expect(rows).to_have_count(2)
    page.get_by_role("searchbox", name="Search conversations").fill("dachshund")
    expect(rows).to_have_count(1)
    rows.hover()
    rows.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("Of dogs")
    page.get_by_role("button", name="Save").click()
    console.notice("Renamed.")
    page.get_by_role("searchbox", name="Search conversations").fill("apples")
    expect(rows).to_have_count(0)
    page.get_by_role("searchbox", name="Search conversations").press("Enter")
    expect(rows).to_have_text(re.compile("Of dogs"))
    rows.hover()
    rows.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    console.notice("Deleted, with 2 messages.")
    assert [one["title"] for one in console.request("GET", "/v1/sessions")["data"]] == [
        "The rent went up by forty euros."
    ]


def test_the_chosen_model_is_asked(console: Console, upstream: LoopbackUpstream) -> None:
    expect(console.page.get_by_label("Model").locator("option")).to_have_text(["m", "org/other"])
    console.page.get_by_label("Model").select_option("org/other")
    console.says("Hello")
    assert upstream.requests[-1].json["model"] == "org/other"


def test_an_upstream_that_is_away_is_told_with_what_to_do(
    console: Console, upstream: LoopbackUpstream
) -> None:
    console.tolerates(503, "/v1/chat/completions")
    upstream.queue(Answer.error(503, "The engine is overloaded.", "overloaded"))
    console.sends("Hello")
    fault = console.answer().get_by_role("alert")
    expect(fault).to_contain_text("The engine is overloaded.")
    expect(fault).to_contain_text("Try again shortly.")
    fault.get_by_role("button", name="Try again").click()
    expect(console.answer()).to_contain_text("echo: Hello")


def test_an_answer_that_breaks_off_is_not_shown_as_whole(
    console: Console, upstream: LoopbackUpstream
) -> None:
    gate = Gate()
    pieces = sse(*chunks("Rex likes apples."))
    upstream.queue(Answer.stream(*pieces[:3], gate, ending="cut"))
    console.sends(ASKED)
    expect(console.answer()).to_contain_text("Rex likes")
    gate.open()
    expect(console.answer().get_by_role("alert")).to_contain_text("did not answer properly")
    expect(console.answer()).to_contain_text("Rex likes")
    console.complaints[:] = [
        one for one in console.complaints if "net::ERR_INCOMPLETE_CHUNKED_ENCODING" not in one
    ]


def test_a_past_answer_shows_its_figures_and_title_again(
    console: Console, open_console: Callable[..., Console]
) -> None:
    console.keeps(TOLD)
    console.says(ASKED)
    address = console.page.url.partition("#")[2]
    session = address.rpartition("/")[2]
    console.request("PATCH", f"/v1/sessions/{session}", {"title": "Of dogs"})
    again = open_console().opened(f"#{address}").signed_in(console.name)
    expect(again.page.get_by_role("heading", name="Of dogs", level=1)).to_be_visible()
    expect(again.answer()).to_contain_text(re.compile(r"\d+ → \d+ tokens"))
    expect(again.why()).to_contain_text([TOLD])


def test_what_is_away_is_said_while_the_rest_goes_on(open_console: Callable[..., Console]) -> None:
    console = open_console()
    check = {"status": "unhealthy", "required": False, "detail": ""}
    away = dict.fromkeys(("upstream", "retriever", "documents"), check)
    console.answers("**/health/detailed", {"status": "unhealthy", "checks": away})
    console.opened().signed_in()
    status = console.page.get_by_role("region", name="Service status")
    expect(status).to_contain_text("The model provider cannot be reached")
    expect(status).to_contain_text("The GPU tier is away: shared words choose")
    expect(status).to_contain_text("The store is away")
    console.says("Hello")
