"""Streams cut anywhere, characters and line ends too: the client has every byte, the memory every
word."""

import json
from collections.abc import Callable, Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.effort import effort
from support.chats import Person, user
from support.upstream import Answer, LoopbackUpstream, chunks

pytestmark = [pytest.mark.service, pytest.mark.timeout(0)]

CHAT = "/v1/chat/completions"
MEBIBYTE = 1024 * 1024
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
WORDS = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1),
    min_size=1,
    max_size=6,
)
COMMENTS = st.sampled_from([b"", b": ping", b"id: 7", b"retry: 10", b"event: message"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A text, and the stream that says it: any line ends, comments between, UTF-8 unescaped."""
    text = " ".join(draw(WORDS))
    lines: list[bytes] = []
    for value in (*chunks(text), "[DONE]"):
        said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        end = draw(LINE_ENDS)
        if comment := draw(COMMENTS):
            lines += [comment, end]
        lines += [b"data: " + said.encode(), end, end]
    return text, b"".join(lines)


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % len(body) for place in places} | {len(body)})
    return [body[begin:end] for begin, end in zip([0, *ends], ends, strict=False) if begin < end]


CUTS = st.lists(st.integers(0, 10_000), max_size=40) | st.just(list(range(4_000)))


def test_a_stream_cut_anywhere_arrives_whole_and_is_remembered_whole(
    http: httpx.Client, upstream: LoopbackUpstream, stranger: Callable[[], dict[str, str]]
) -> None:
    @effort(12)
    @given(said=bodies(), places=CUTS)
    def passes(said: tuple[str, bytes], places: list[int]) -> None:
        text, body = said
        person = Person(http, stranger())
        for memory in ("off", "on"):
            upstream.queue(Answer.stream(*cut(body, places)))
            asked = person.ask(user("Go on."), session="s", memory=memory, stream=True)
            if memory == "off":
                assert asked.content == body
            assert "[DONE]" in asked.text
        assert person.told_texts("s") == ["Go on.", text]

    passes()


@pytest.mark.parametrize("memory", ["off", "on"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_of_a_megabyte_passes(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    stranger: Callable[[], dict[str, str]],
    end: bytes,
    memory: str,
) -> None:
    comment = b": " + "å".encode() * (MEBIBYTE // 2) + end + end
    events = [f"data: {json.dumps(one)}".encode() + end + end for one in chunks("Done.")]
    body = comment + b"".join(events) + b"data: [DONE]" + end + end
    pieces = [body[at : at + 65_537] for at in range(0, len(body), 65_537)]
    upstream.queue(Answer.stream(*pieces))
    person = Person(http, stranger())
    asked = person.ask(user("Go on."), session="s", memory=memory, stream=True)
    assert asked.content == body
    if memory == "on":
        assert person.told_texts("s") == ["Go on.", "Done."]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = ("choices", "usage", "id", "object", "error", "model", "created")
SAID = JSON.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=60)


def test_whatever_an_upstream_says_is_an_answer_an_error_or_a_cut(
    http: httpx.Client,
    upstream: LoopbackUpstream,
    stranger: Callable[[], dict[str, str]],
) -> None:
    headers = stranger()
    kinds = st.sampled_from(["application/json", "text/event-stream", "text/html", ""])
    fields = st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(FIELDS, JSON),
    ).map(lambda one: json.dumps(one).encode())
    said = (
        SAID
        | fields
        | st.lists(fields, max_size=3).map(
            lambda ones: b"".join(b"data: %b\n\n" % one for one in ones)
        )
    )

    @effort(25)
    @given(
        body=said,
        kind=kinds,
        status=st.sampled_from([200, 200, 200, 400, 500]),
        stream=st.booleans(),
    )
    def survives(body: bytes, kind: str, status: int, stream: bool) -> None:
        upstream.queue(Answer(status, {"content-type": kind} if kind else {}, body))
        person = Person(http, headers)
        try:
            answer = person.ask(user("Go on."), session="s", stream=stream)
        except httpx.RemoteProtocolError:
            return  # cut, as a broken answer must be
        assert answer.status_code in {200, status, 502}
        if answer.status_code >= 400:
            assert isinstance(answer.json()["error"], dict)

    survives()
