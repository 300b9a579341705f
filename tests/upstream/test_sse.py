import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamFailed
from gateway.upstream.sse import BOM, Event, EventSplitter, encode

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.one_of(
    st.sampled_from([b"", b"data", b"data:", b"data: x", b"data:  y", b": comment", b"id: 7", BOM]),
    st.text().map(lambda text: b"data: " + re.sub(r"[\r\n]", "", text).encode()),
    st.binary(max_size=8),
)
STREAMS = st.builds(
    lambda bom, lines: bom + b"".join(line + end for line, end in lines),
    st.sampled_from([b"", BOM]),
    st.lists(st.tuples(LINES, LINE_ENDS)),
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def split(*chunks: bytes) -> list[Event]:
    splitter = EventSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    rest = splitter.flush()
    return events if rest is None else [*events, rest]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(mark for mark in cuts if mark < len(stream)), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(marks)]


def data_by_the_specification(stream: bytes) -> list[bytes]:
    """Line by line as the specification's own steps do, terminated events only."""
    dispatched: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))[:-1]:
        if line == b"":
            dispatched += [b"\n".join(data)] if data else []
            data = []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
    return dispatched


@given(STREAMS, CUTS)
def test_the_raw_bytes_of_all_events_are_the_stream(stream: bytes, cuts: list[int]) -> None:
    assert b"".join(event.raw for event in split(*cut(stream, cuts))) == stream


@given(STREAMS, CUTS)
def test_events_do_not_depend_on_how_the_stream_was_cut(stream: bytes, cuts: list[int]) -> None:
    assert split(*cut(stream, cuts)) == split(stream)
    assert split(*(stream[at : at + 1] for at in range(len(stream)))) == split(stream)


@given(STREAMS)
def test_data_is_what_the_specification_dispatches(stream: bytes) -> None:
    terminated = stream + b"\n\n"
    data = [event.data for event in split(terminated) if event.data is not None]
    assert data == data_by_the_specification(terminated)


@given(st.binary(), CUTS)
def test_any_bytes_at_all_come_out_as_they_went_in(stream: bytes, cuts: list[int]) -> None:
    assert b"".join(event.raw for event in split(*cut(stream, cuts))) == stream


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_what_is_encoded_is_one_event_with_that_data(lines: list[str]) -> None:
    data = re.sub(rb"\r\n|\r", b"\n", "\n".join(lines).encode())
    assert split(encode(data)) == [Event(encode(data), data)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_keeps_its_own_line_ends(end: bytes) -> None:
    first = b": hello" + end + b"data: 1" + end + b"data: 2" + end + end
    second = b"data:[DONE]" + end + end
    assert split(first + second) == [Event(first, b"1\n2"), Event(second, b"[DONE]")]


def test_an_event_is_out_as_soon_as_its_empty_line_is_in() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n") == []
    assert splitter.feed(b"\n") == [Event(b"data: 1\n\n", b"1")]


def test_a_cr_that_ends_a_chunk_waits_for_the_lf_that_may_follow() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\r\n\r") == []
    assert splitter.feed(b"\ndata") == [Event(b"data: 1\r\n\r\n", b"1")]


def test_a_comment_has_no_data_and_an_empty_data_line_has_empty_data() -> None:
    assert [event.data for event in split(b": ping\n\n", b"data\n\n")] == [None, b""]


def test_only_fields_called_data_are_data() -> None:
    assert split(b"database: 1\nDATA: 2\n data: 3\nevent: data\n\n")[0].data is None


def test_a_byte_order_mark_opens_the_stream_and_nothing_else() -> None:
    opened = BOM + b"data: 1\n\n"
    later = BOM + b"data: 2\n\n"
    assert split(opened, later) == [Event(opened, b"1"), Event(later, None)]


def test_utf_8_may_be_cut_anywhere() -> None:
    text = "data: zażółć gęślą jaźń 🦆\n\n".encode()
    assert split(*(text[at : at + 1] for at in range(len(text)))) == [Event(text, text[6:-2])]


def test_the_rest_without_its_empty_line_is_given_back() -> None:
    assert split(b"data: 1\n\ndata: [DO")[-1] == Event(b"data: [DO", b"[DO")


def test_a_stream_that_ended_leaves_nothing() -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: 1\n\n")
    assert splitter.flush() is None


def test_an_event_past_the_bound_fails_whether_complete_or_not() -> None:
    with pytest.raises(UpstreamFailed, match="more than 16 bytes"):
        EventSplitter(max_event_bytes=16).feed(b"data: 0123456789+")
    with pytest.raises(UpstreamFailed, match="more than 16 bytes"):
        EventSplitter(max_event_bytes=16).feed(b"data: 0123456789\n\n")
    assert EventSplitter(max_event_bytes=16).feed(b"data: 01234567\n\n" * 9)


@pytest.mark.timeout(30)  # searched from its beginning at each piece it would take ten minutes
def test_a_large_event_in_many_pieces_is_searched_once() -> None:
    splitter = EventSplitter()
    assert not any(splitter.feed(b"x" * 64) for _ in range(65_536))
    (event,) = splitter.feed(b"\n\n")
    assert len(event.raw) == 64 * 65_536 + 2
