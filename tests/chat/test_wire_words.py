"""OpenAI's words: what is refused and with which param, what text a message has, how it counts."""

from typing import Any

import orjson
import pytest

from gateway.chat.wire import (
    MEDIA_TOKENS,
    check_sizes,
    count_message,
    extras_of,
    media_of,
    parse_chat,
    text_of,
    tool_ids,
)
from gateway.errors import BadRequest, TooLarge
from gateway.tokens.rs_bpe import RsBpeTokenizer

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": 3, "messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": ["hi"]}, "messages[0]"),
        ({"model": "m", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
        (
            {"model": "m", "messages": [{"role": "assistant", "tool_calls": {}}]},
            "messages[0].tool_calls",
        ),
        ({"model": "m", "messages": [{"role": "user"}], "n": -1}, "n"),
        ({"model": "m", "messages": [{"role": "user"}], "max_tokens": "9"}, "max_tokens"),
        ({"model": "m", "messages": [{"role": "user"}], "stream": "yes"}, "stream"),
    ],
)
def test_a_wrong_shape_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_chat(orjson.dumps(body))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{", b"[]", b'"x"', b'{"a": "\\ud800"}', b"[" * 10_000, b"\xff\xfe"]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_chat(body)


def test_text_parts_are_text_and_media_are_digests() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]}
    assert text_of(message) == "look"
    [medium] = media_of(message)
    assert medium["type"] == "image_url"
    assert "AAAA" not in orjson.dumps(extras_of(message)).decode()


def test_two_pictures_make_two_messages() -> None:
    other = {"type": "image_url", "image_url": {"url": "data:image/png;base64,BBBB"}}
    first = {"role": "user", "content": [PICTURE]}
    assert tool_ids(first) != tool_ids({"role": "user", "content": [other]})


def test_tokens_are_those_of_the_real_tokenizer() -> None:
    tokenizer = RsBpeTokenizer("cl100k_base")
    text = "tiktoken is great!"  # six tokens in OpenAI's own example of cl100k_base
    assert tokenizer.count(text) == 6
    assert count_message({"role": "user", "content": text}, tokenizer) == 6 + 4
    picture = {"role": "user", "content": [PICTURE]}
    assert count_message(picture, tokenizer) == 4 + MEDIA_TOKENS


def test_control_tokens_in_a_text_count_as_text() -> None:
    assert RsBpeTokenizer().count("<|endoftext|>") > 1


def test_what_no_document_could_hold_is_refused_before_money_is_spent() -> None:
    check_sizes([{"role": "user", "content": "x" * 400_000}])
    with pytest.raises(TooLarge) as caught:
        check_sizes([{"role": "user"}, {"role": "user", "content": "\x00" * 100_000}])
    assert caught.value.param == "messages[1].content"
