"""Files from elsewhere, and hostile ones: what is read of them, and which line is told."""

import asyncio
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.metered import MeteredDocuments
from gateway.errors import BadRequest
from gateway.portability import formats
from gateway.portability.dates import moment
from gateway.portability.formats import format_of
from gateway.portability.framing import Elements, Lines
from gateway.portability.items import MAX_NESTING, Malformed, Refused, Said, Session, Skipped
from support.imports import as_lines, as_markdown, imported, items
from support.memories import Scribe
from support.stores import sqlite_only

HELLO = {"type": "message", "role": "user", "content": "Hello", "session_id": "s"}


def said(found: list[Any]) -> list[Said]:
    return [item for item in found if isinstance(item, Said)]


def texts(found: list[Any]) -> list[str]:
    return [item.content for item in said(found)]


def refused(found: list[Any]) -> list[tuple[int, str]]:
    return [(item.line, item.message) for item in found if isinstance(item, Refused)]


@given(
    st.lists(st.recursive(st.text() | st.integers(-9, 9) | st.none(), st.lists), max_size=5),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)
def test_elements_come_whole_however_the_body_is_cut(
    values: list[Any], size: int, array: bool, indented: bool
) -> None:
    elements = [{'key"]': value} for value in values]
    option = orjson.OPT_INDENT_2 if indented else 0
    data = orjson.dumps(elements, option=option)
    if not array:
        data = b"\n".join(orjson.dumps(one, option=option) for one in elements)
    framing = Elements(1 << 20)
    frames = [
        frame for k in range(0, len(data), size) for frame in framing.feed(data[k : k + size])
    ]
    frames += framing.finish()
    assert [orjson.loads(frame.data or b"") for frame in frames] == elements
    for frame in frames:
        assert data.split(b"\n")[frame.line - 1].lstrip(b" [,").startswith(b"{")


@given(st.binary(max_size=60), st.integers(1, 7))
def test_no_bytes_break_a_framing(data: bytes, size: int) -> None:
    for framing in (Elements(16), Lines(16)):
        frames = [
            frame for k in range(0, len(data), size) for frame in framing.feed(data[k : k + size])
        ]
        frames += framing.finish()
        assert all(len(frame.data or b"") <= 16 for frame in frames)


def test_of_what_is_too_long_only_its_line_is_kept() -> None:
    framing = Lines(4)
    assert [(one.line, one.data) for one in framing.feed(b"ab\ncdefg\nhi\n")] == [
        (1, b"ab"),
        (2, None),
        (3, b"hi"),
    ]


@pytest.mark.parametrize(
    ("opening", "content_type", "expected"),
    [
        (b'{"type": "export"}\n{', "", "jsonl"),
        (b'{"type": "export"}\n{', "application/json", "jsonl"),
        (b'{\n "sessions": []}', "application/json", "json"),
        (b"[{", "", "json"),
        (b"# Memory\n", "", "markdown"),
        (b'<!-- memory-ops:export {"schema": 1} -->', "text/plain", "markdown"),
        (b"anything", "text/markdown; charset=utf-8", "markdown"),
        (b"[1]", "application/x-ndjson", "jsonl"),
        (b"blob\nmark :1\n", "application/octet-stream", "git"),
        (b"reset refs/heads/main\n", "", "git"),
    ],
)
def test_the_format_is_told_by_the_content_type_or_the_content(
    opening: bytes, content_type: str, expected: str
) -> None:
    assert format_of(None, content_type, opening) == expected


@pytest.mark.parametrize("opening", [b"", b" \n", b"name,text\n", b"\xff\xfe", b"PK\x03\x04"])
def test_what_is_in_no_known_format_is_refused(opening: bytes) -> None:
    with pytest.raises(BadRequest):
        format_of(None, "", opening)


def test_a_format_that_is_not_known_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        format_of("csv", "", b"{}")
    assert caught.value.param == "format"


DEEP = "[" * (MAX_NESTING + 2) + "]" * (MAX_NESTING + 2)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"5",
        b"null",
        b'{"role": "user"}',
        b'{"role": "narrator", "content": "x"}',
        b'{"role": ["user"], "content": "x"}',
        b'{"role": "user", "content": 5}',
        b'{"role": "user", "content": "\\ud800"}',
        b"\xff\xfe",
        b'{"role": "user", "content": "x", "session_id": "a b"}',
        b'{"role": "user", "content": "x", "session_id": 5}',
        b'{"role": "user", "content": "x", "session_id": ""}',
        b'{"role": "user", "content": "x", "id": 5}',
        b'{"role": "user", "content": "x", "at": "yesterday"}',
        b'{"role": "user", "content": "x", "at": 1e300}',
        b'{"role": "user", "content": "x", "at": true}',
        b'{"role": "user", "content": "x", "sequence": -1}',
        b'{"role": "user", "content": "x", "sequence": 1152921504606846976}',
        b'{"role": "user", "content": "x", "sequence": true}',
        b'{"role": "user", "content": "x", "parent": "nobody"}',
        b'{"role": "user", "content": "x", "state": "deleted"}',
        b'{"role": "user", "content": "x", "state": {}}',
        b'{"role": "user", "content": "x", "pin": 1}',
        b'{"role": "user", "content": "x", "metadata": []}',
        b'{"role": "user", "content": "x", "metadata": {"a": {}}}',
        b'{"role": "user", "content": "x", "importance_override": 2}',
        b'{"role": "user", "content": "x", "importance_override": "1"}',
        b'{"role": "user", "content": "x", "importance_override": true}',
        b'{"role": "user", "content": "x", "extras": 5}',
        b'{"role": "user", "content": "x", "extras": {"tool_calls": [5]}}',
        b'{"role": "user", "content": "x", "extras": {"tool_calls": 5}}',
        b'{"role": "user", "content": "x", "extras": {"name": {"a": 1}}}',
        b'{"role": "user", "content": "x", "extras": {"media": [{"type": "x"}]}}',
        b'{"role": "user", "content": "x", "receipt": {}}',
        b'{"role": "user", "content": "x", "receipt": {"id": "r", "lines": [], "created_at": 1}}',
        b'{"role": "user", "content": "x", "hash": "../../owners"}',
        b'{"type": "session", "id": "../x y"}',
        b'{"type": "session"}',
        b'{"type": 5}',
        b"{}",
        b'{"role": "user", "content": "x", "extras": {"function_call": ' + DEEP.encode() + b"}}",
    ],
)
@sqlite_only
async def test_a_hostile_line_is_told_by_its_number_and_takes_nothing_with_it(
    documents: MeteredDocuments, scribe: Scribe, line: bytes
) -> None:
    data = as_lines(HELLO) + b"\n" + line + b"\n" + as_lines({**HELLO, "content": "Bye"})
    report = await imported(documents, data)
    assert [one.line for one in report.errors] == [3]
    assert (report.stored, report.refused) == (2, 1)
    assert await scribe.texts("s") == ["Hello", "Bye"]


@sqlite_only
async def test_what_no_document_could_hold_is_refused_by_itself(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    huge = [{**HELLO, "content": "x" * 600_000}, {**HELLO, "content": "\x01" * 100_000}]
    report = await imported(documents, as_lines(*huge, HELLO))
    assert [(one.line, one.code) for one in report.errors] == [
        (1, "message_too_large"),
        (2, "message_too_large"),
    ]
    assert await scribe.texts("s") == ["Hello"]


@sqlite_only
async def test_only_the_first_errors_are_told_and_all_are_counted(
    documents: MeteredDocuments,
) -> None:
    report = await imported(documents, as_lines(HELLO) + b"{\n" * 1000)
    assert (report.refused, len(report.errors)) == (1000, 100)


NAMES = re.findall(
    r"[a-z_0-9]+",
    "type role content id session_id at sequence parent state tokens pin expires_at metadata extras"
    " receipt hash archived entity number valid_from recorded_at commit kind changes reverts title"
    " created_at owner_hash messages turns sessions conversation session_1 session_1_date_time"
    " speaker speaker_a dia_id text date mapping current_node message author parts children name"
    " statements block strength always_load valid_to superseded_by sources added_in",
)
WORDS = ("message", "version", "commit", "session", "end", "user", "e1k7vclnm9g7c5v5c", "n", "root")
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**19) | st.floats(allow_nan=False)
    | st.sampled_from(WORDS) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from((*NAMES, *WORDS)), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=8), st.booleans())
def test_no_json_at_all_breaks_the_reading(fields: Any, array: bool) -> None:
    """Whatever stands where, an item or a refusal comes of it, and the next line is read."""
    data = as_lines(fields, HELLO)
    if array:
        data = b"[" + b",".join(data.splitlines()) + b"]"
    found = asyncio.run(items(data))
    assert texts(found)[-1] == "Hello"


@pytest.mark.parametrize("kind", [[], {}, ["message"], 7, None, True])
async def test_a_type_that_is_no_word_is_refused(kind: Any) -> None:
    found = await items(as_lines({**HELLO, "type": kind}, HELLO))
    assert [line for line, _ in refused(found)] == [1]
    assert texts(found) == ["Hello"]


async def test_what_we_do_not_know_is_skipped_and_counted() -> None:
    (found,) = await items(as_lines({"type": "hologram", "id": "h1"}))
    assert found == Skipped(1)


async def test_a_line_too_long_is_refused_and_the_next_one_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "LINE_BYTES", 200)
    found = await items(as_lines(HELLO, {**HELLO, "content": "x" * 300}, HELLO), piece=64)
    assert [item.line for item in found] == [1, 2, 3]
    assert refused(found) == [(2, "It is too long.")]


@sqlite_only
async def test_lines_without_ids_are_told_apart_by_their_place(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    data = as_lines(HELLO, HELLO, {**HELLO, "id": "abc"}, {**HELLO, "id": "abc"})
    assert (await imported(documents, data)).stored == 3
    assert (await imported(documents, data)).stored == 0
    assert len(await scribe.texts("s")) == 3


async def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    data = b"\xef\xbb\xbf" + as_lines(HELLO, HELLO).replace(b"\n", b"\r\n")
    assert texts(await items(data)) == ["Hello", "Hello"]


MESSAGE = {"type": "message", "session_id": "s", "role": "user", "at": 0.0, "content": "a\n\nb"}


async def test_markdown_survives_an_editor() -> None:
    """Windows line ends, no spaces at the ends of lines, notes of the reader's own."""
    data = as_markdown(MESSAGE, MESSAGE).replace(b"> \n", b">\n")
    data = b"My notes:\n\n> quoted by me\n\n" + data.replace(b"\n", b"\r\n") + b"The end.\r\n"
    assert texts(await items(data, format="markdown")) == ["a\n\nb", "a\n\nb"]


async def test_a_damaged_comment_is_told_by_its_line() -> None:
    data = as_markdown(MESSAGE) + b'<!-- memory-ops:message {"role": "us -->\n> lost\n'
    found = await items(data)
    assert texts(found) == ["a\n\nb"]
    assert [line for line, _ in refused(found)] == [data.count(b"\n") - 1]


async def test_other_markdown_is_refused() -> None:
    (found,) = await items(b"# Shopping\n\n- milk\n")
    assert isinstance(found, Refused)
    assert found.code == "unknown_format"


DIALOGUE = {
    "session_id": "walk",
    "date": "2:05 pm on 3 June, 2023",
    "messages": [
        {"speaker": "Ines", "text": "I adopted a greyhound."},
        {"speaker": "Tom", "text": "What is it called?"},
        {"speaker": "Ines", "text": "Comet.", "date": "2023-06-03T14:10:00Z"},
    ],
}
LOCOMO = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ines",
        "speaker_b": "Tom",
        "session_2_date_time": "9:00 am on 4 June, 2023",
        "session_2": [{"speaker": "Tom", "dia_id": "D2:1", "text": "How is Comet?"}],
        "session_1_date_time": "2:05 pm on 3 June, 2023",
        "session_1": [{"speaker": "Ines", "dia_id": "D1:1", "text": "I adopted a greyhound."}],
    },
}
AFTERNOON = 1_685_801_100.0


@pytest.mark.parametrize("array", [True, False])
async def test_a_dialogue_keeps_speakers_order_and_dates(array: bool) -> None:
    found = await items(orjson.dumps([DIALOGUE] if array else DIALOGUE))
    assert [(one.role, one.metadata["speaker"]) for one in said(found)] == [
        ("user", "Ines"),
        ("assistant", "Tom"),
        ("user", "Ines"),
    ]
    times = [one.at or 0 for one in said(found)]
    assert times == sorted(times)
    assert (times[0], times[2]) == (AFTERNOON, AFTERNOON + 300)
    assert {one.session for one in said(found)} == {"walk"}


async def test_locomos_own_shape_comes_in_the_order_of_its_sessions() -> None:
    found = await items(orjson.dumps([LOCOMO], option=orjson.OPT_INDENT_2))
    assert [(one.session, one.role, one.content) for one in said(found)] == [
        ("conv-1-session-1", "user", "I adopted a greyhound."),
        ("conv-1-session-2", "assistant", "How is Comet?"),
    ]


async def test_a_list_of_sessions_inside_an_object_is_read() -> None:
    found = await items(orjson.dumps({"id": "c", "sessions": [DIALOGUE, {"turns": []}, 5]}))
    assert [one.id for one in found if isinstance(one, Session)] == ["walk", "c-session-2"]
    assert refused(found) == [(1, "Session 3 of the dialogue has no messages.")]


async def test_a_dialogue_with_a_bad_message_keeps_the_others() -> None:
    bad: list[Any] = [5, {"speaker": "x"}, {"text": "y", "role": 5}, {"text": "z", "date": "soon"}]
    dialogue = {**DIALOGUE, "messages": [*bad, {"speaker": "Ines", "text": "Hi"}]}
    found = await items(orjson.dumps([dialogue]))
    assert texts(found) == ["Hi"]
    assert len(refused(found)) == 4


def node(parent: str | None, role: str, text: Any, at: float | None = 1.7e9, **more: Any) -> Any:
    content = {"content_type": "text", "parts": [text]}
    message = {"author": {"role": role}, "content": content, "create_time": at, **more}
    return {"parent": parent, "message": message, "children": []}


CONVERSATION: dict[str, Any] = {
    "conversation_id": "0a1b",
    "title": "  A  boat ",
    "create_time": 1.7e9,
    "update_time": 1.7e9 + 60,
    "current_node": "a2",
    "mapping": {
        "root": {"parent": None, "message": None},
        "sys": node("root", "system", ""),
        "u1": node("sys", "user", "What is a good name for a boat?"),
        "a1": node("u1", "assistant", "Sea Breeze."),
        "u1b": node("sys", "user", "What is a good name for a red boat?", 1.7e9 + 5),
        "t": node("u1b", "assistant", '{"q": 1}', recipient="browser"),
        "r": node("t", "tool", "a page"),
        "a2": node("r", "assistant", "Rosso.", None),
    },
}


@pytest.mark.parametrize("form", ["array", "alone", "indented", "lines"])
async def test_of_a_conversation_the_active_branch_is_taken(form: str) -> None:
    data = {
        "array": orjson.dumps([CONVERSATION]),
        "alone": orjson.dumps(CONVERSATION),
        "indented": orjson.dumps([CONVERSATION], option=orjson.OPT_INDENT_2),
        "lines": as_lines(CONVERSATION),
    }[form]
    found = await items(data, piece=50)
    assert found[0] == Session(found[0].line, "0a1b", "A boat", 1.7e9, 1.7e9 + 60)
    assert [(one.role, one.content, one.at) for one in said(found)] == [
        ("user", "What is a good name for a red boat?", 1.7e9 + 5),
        ("assistant", "Rosso.", 1.7e9),
    ]
    assert sum(isinstance(item, Skipped) for item in found) == 3


async def test_without_a_current_node_the_last_leaf_ends_the_branch() -> None:
    found = await items(orjson.dumps([{**CONVERSATION, "current_node": None}]))
    assert texts(found)[-1] == "Rosso."


async def test_parts_that_are_no_text_are_left_out() -> None:
    message = node(None, "user", "Look:")
    message["message"]["content"] = {
        "content_type": "multimodal_text",
        "parts": [{"asset_pointer": "file-1"}, "Look:", {"text": "said aloud"}, 5, None],
    }
    found = await items(orjson.dumps([{"id": "x", "mapping": {"a": message}}]))
    assert texts(found) == ["Look:\nsaid aloud"]


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": node("b", "user", "x"), "b": node("a", "user", "y")},
        {"a": node("a", "user", "x")},
    ],
)
async def test_a_conversation_that_runs_in_a_circle_is_refused(mapping: Any) -> None:
    circle = {"id": "c", "mapping": mapping, "current_node": "a"}
    found = await items(orjson.dumps([circle, CONVERSATION]))
    assert [line for line, _ in refused(found)] == [1]
    assert len(texts(found)) == 2


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"a": 5},
        {"a": {"parent": 5, "message": {"author": 5, "content": 5}}},
        {"a": {"parent": ["a"], "message": {"author": {"role": []}, "content": {"parts": {}}}}},
    ],
)
async def test_a_conversation_of_an_odd_shape_holds_nothing(mapping: Any) -> None:
    assert texts(await items(orjson.dumps([{"id": "c", "mapping": mapping}]))) == []


async def test_a_session_whose_name_cannot_be_ours_gets_one_of_its_own() -> None:
    first = await items(orjson.dumps([{**CONVERSATION, "conversation_id": "ett två"}]))
    again = await items(orjson.dumps([{**CONVERSATION, "conversation_id": "ett två"}]))
    assert said(first)[0].session == said(again)[0].session
    assert (said(first)[0].session or "").startswith("imported-")


async def test_an_array_that_breaks_off_tells_where_and_keeps_what_came_before() -> None:
    data = orjson.dumps([CONVERSATION, CONVERSATION], option=orjson.OPT_INDENT_2)[:-40]
    found = await items(data)
    assert texts(found)[1] == "Rosso."
    assert len(refused(found)) == 1
    data = b"[" + orjson.dumps(CONVERSATION) + b",\n x, " + orjson.dumps(CONVERSATION) + b"]"
    assert [line for line, _ in refused(await items(data))] == [2]


async def test_a_format_that_was_asked_for_takes_no_other() -> None:
    found = await items(orjson.dumps([CONVERSATION, DIALOGUE]), format="openai")
    assert refused(found) == [(1, "This is not of the format 'openai'.")]
    assert len(texts(found)) == 2


@sqlite_only
async def test_a_conversation_is_stored_once_and_under_ids_of_its_own(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    data = orjson.dumps([CONVERSATION, LOCOMO, DIALOGUE])
    assert (await imported(documents, data)).stored == 7
    assert (await imported(documents, data)).stored == 0
    found = await scribe.log.messages("key:alice", "0a1b")
    assert [one.parent for one in found] == [None, found[0].id]
    assert (await scribe.texts("walk"))[-1] == "Comet."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2:05 pm on 3 June, 2023", AFTERNOON),
        ("12:00 am on 3 June, 2023", 1_685_750_400.0),
        ("12:00 pm on 3 june 2023", 1_685_793_600.0),
        ("3 June 2023", 1_685_750_400.0),
        ("June 3rd, 2023 at 14:05", AFTERNOON),
        ("2023-06-03T14:05:00Z", AFTERNOON),
        ("2023-06-03T16:05:00+02:00", AFTERNOON),
        ("2023-06-03 14:05", AFTERNOON),
        (AFTERNOON, AFTERNOON),
        (AFTERNOON * 1000, AFTERNOON),
        ("9999-12-31T23:59:59Z", 253_402_300_799.0),
        (253_402_300_799.0, 253_402_300_799.0),
        (None, None),
        ("", None),
    ],
)
def test_a_date_is_read(text: object, expected: float | None) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text", ["31 June 2023", "25:00 on 3 June 2023", "3 Juno 2023", "x" * 65, [], "9:99 3 May 2023"]
)
def test_what_is_no_date_is_refused(text: object) -> None:
    with pytest.raises(Malformed):
        moment(text)
