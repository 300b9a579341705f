"""The page to be read: whole, safe, and without a script."""

from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.reference import descriptions
from gateway.reference.curl import curl
from gateway.reference.document import Composer
from gateway.reference.page import Page, kind, prose
from gateway.routes.openapi import BODIES
from support import curl as commands

HOSTILE = "<script>alert(1)</script> & `<b>`"
FETCHING = {"script", "link", "img", "iframe", "form"}
RUNNING = {"src", "style", "onclick"}
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Tags must nest; collects ids, links, text and what would be fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.headings += tag == "h1"
        if tag not in VOID:
            self.open.append(tag)
        if tag in FETCHING or RUNNING & set(given):
            self.fetched.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    read = descriptions.read()
    routes = {one.route for one in read.operations()}
    return Composer(read, BODIES, routes, "1.2.3").document()


def reading(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_fetches_and_runs_nothing(document: dict[str, Any]) -> None:
    assert reading(Page(document).html()).fetched == []


def test_every_link_leads_somewhere_on_the_page(document: dict[str, Any]) -> None:
    reader = reading(Page(document).html())
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.links) <= {f"#{one}" for one in reader.ids} | {"openapi.json"}
    assert reader.headings == 1


def test_every_route_is_on_the_page_with_its_parameters_and_examples(
    document: dict[str, Any],
) -> None:
    text = "".join(reading(Page(document).html()).text)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in text
            assert operation["summary"] in text
            for sample in operation["x-codeSamples"]:
                assert sample["source"] in text
    for one in document["components"]["parameters"].values():
        assert one["name"] in text
    for name in document["components"]["headers"]:
        assert name in text


def test_what_a_description_says_is_text_and_never_markup(document: dict[str, Any]) -> None:
    info = {**document["info"], "title": HOSTILE, "description": HOSTILE}
    html = Page({**document, "info": info}).html()
    assert reading(html).fetched == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>&lt;b&gt;</code>" in html


def test_the_policy_allows_this_style_sheet_alone(document: dict[str, Any]) -> None:
    policy = Page(document).policy
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "script" not in policy


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 50, "default": 5},
            "integer, from 1, to 50, default 5",
        ),
        ({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, "date or null"),
        ({"enum": ["on", "off"]}, "<code>&#34;on&#34;</code>, <code>&#34;off&#34;</code>"),
        ({"type": "array", "items": {"$ref": "#/x/Hit"}}, 'list of <a href="#shape-hit">Hit</a>'),
        ({"type": ["string", "null"]}, "string or null"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_a_few_words(schema: dict[str, Any], words: str) -> None:
    assert kind(schema) == words


def test_paragraphs_are_paragraphs() -> None:
    assert prose("one\n\ntwo `x<y`") == "<p>one</p><p>two <code>x&lt;y</code></p>"


def test_a_command_survives_a_shell() -> None:
    answers = [descriptions.Answer(about="")]
    body = """{"content": "it's $HOME and `id`"}"""
    example = descriptions.Example(name="odd", path="/x?q=a&b=c", body=body)
    operation = descriptions.Operation(
        route="PATCH /x", summary="", answers=answers, examples=[example]
    )
    variables = {"URL": "http://h", "TOKEN": "t", "HOME": "$HOME"}
    command = commands.read(curl(operation, example), variables)
    assert (command.method, command.url, command.body) == (
        "PATCH",
        "http://h/x?q=a&b=c",
        body.encode(),
    )
    assert command.headers["Authorization"] == "Bearer t"
