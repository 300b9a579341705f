"""A request's redactor: text, JSON, counts, and redacting twice."""

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import cards, emails, named, phonenumbers, shapes
from gateway.redaction.base import Kind
from gateway.redaction.redaction import Redaction
from gateway.redaction.redactor import Redactor
from support.planted import planted

CARD = "4111 1111 1111 1111"
PIECES = [one.text for one in planted(5, rounds=1)]
HOSTILE = (
    "a" * 1_000_000,
    "a@" * 500_000,
    "a.a@a." * 170_000,
    "4111 " * 200_000,
    "+1 2" * 250_000,
    "(415) 555-" * 100_000,
    "token" * 200_000,
    "token=" * 166_000,
    "password is " * 83_000,
    "api_key: &a=" * 83_000,
    "sk-" * 333_000,
    "eyJaaaaaaaaaa." * 71_000,
    "a://:" * 200_000,
    "x://" + "b:" * 500_000,
    "-----BEGIN PRIVATE KEY-----\n" * 35_000,
    "-----BEGIN PRIVATE KEY-----" + "A" * 1_000_000,
    "phone: 12" * 111_000,
    "phone " * 166_000,
    "Bearer " * 142_000,
)
MAX_STEPS = 20_000  # characters looked at from one place; the longest token may have 7,000


def test_the_kinds_are_taken_out_and_counted() -> None:
    counts = Counter[Kind]()
    redactor = Redactor(counts=counts)
    told = redactor.text(f"Write to ada@example.com or call (415) 555-2671; card {CARD}.")
    assert told == ("Write to [REDACTED_EMAIL] or call [REDACTED_PHONE]; card [REDACTED_CARD].")
    assert counts == {"EMAIL": 1, "PHONE": 1, "CARD": 1}
    assert redactor.headers() == {"x-redactions": "3"}


def test_the_same_text_is_counted_once_and_what_is_asked_not_at_all() -> None:
    redactor = Redactor()
    for _ in range(3):
        redactor.text("ada@example.com")
    assert redactor.unlisted("bob@example.com") == "[REDACTED_EMAIL]"
    assert redactor.total == 1


def test_switched_off_it_changes_nothing_and_says_nothing() -> None:
    redactor = Redactor(enabled=False)
    assert redactor.text("ada@example.com") == "ada@example.com"
    assert redactor.value({"a": ["ada@example.com"]}) == {"a": ["ada@example.com"]}
    assert redactor.headers() == {}


async def test_whether_it_is_on_is_told_by_owner() -> None:
    async def enabled(owner: str) -> bool:
        return owner == "careful"

    redaction = Redaction(enabled)
    assert (await redaction.of("careful")).text("ada@example.com") == "[REDACTED_EMAIL]"
    assert (await redaction.of("other")).text("ada@example.com") == "ada@example.com"
    assert redaction.counts == {"EMAIL": 1}


@pytest.mark.parametrize("size", [10, 100_000])
async def test_texts_that_were_read_are_known(size: int) -> None:
    redactor, text = Redactor(), "word " * (size // 5) + "+1 415 555 2671"
    await redactor.read([text, text])
    assert redactor.total == 1
    assert redactor.text(text).endswith(" [REDACTED_PHONE]")
    assert redactor.total == 1


def test_json_stays_json() -> None:
    arguments = orjson.dumps(
        {"to": "ada@example.com", "card": 4111111111111111, "n": 3, "api_key": "Zq81LmTt04Xc"}
    ).decode()
    redactor = Redactor()
    told = redactor.value({"arguments": arguments, "n": 4, "x": None, "y": [True, 1.5]})
    assert orjson.loads(told["arguments"]) == {
        "to": "[REDACTED_EMAIL]",
        "card": "[REDACTED_CARD]",
        "n": 3,
        "api_key": "[REDACTED_API_KEY]",
    }
    assert {name: told[name] for name in ("n", "x", "y")} == {"n": 4, "x": None, "y": [True, 1.5]}
    assert redactor.total == 3


@pytest.mark.parametrize("text", ["{", '{"a": 1, "b": [2, "ok"]}', "[1,  2]", ""])
def test_json_without_secrets_stays_as_it_was_written(text: str) -> None:
    assert Redactor().value(text) == text


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)), max_size=6))
def test_redacting_twice_is_redacting_once(pieces: list[str]) -> None:
    once = Redactor().text("\n".join(pieces))
    again = Redactor()
    assert again.text(once) == once
    assert again.total == 0


@given(st.text())
def test_any_text_at_all_is_taken(text: str) -> None:
    Redactor().text(text)


def test_lone_surrogates_and_letters_that_grow_are_taken() -> None:
    text = "İİ\ud800 password = 'Zq81LmTt04Xc' ß"
    assert Redactor().text(text) == "İİ\ud800 password = '[REDACTED_API_KEY]' ß"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_a_megabyte_of_what_is_hardest_is_read_to_its_end(text: str) -> None:
    assert len(Redactor().text(text)) > 0


def test_no_pattern_looks_at_more_than_so_much_from_one_place() -> None:
    """So the work is linear: no repetition without a bound, save those that give nothing back."""
    patterns = [
        (module.__name__, name, one)
        for module in (cards, emails, named, phonenumbers, shapes)
        for name, one in vars(module).items()
        if isinstance(one, re.Pattern)
    ]
    assert len(patterns) > 20
    for module, name, pattern in patterns:
        assert _longest(_parsed(pattern)) <= MAX_STEPS, (module, name)


def _parsed(pattern: re.Pattern[str]) -> Any:
    parser = import_module("re._parser")  # no public way to read a pattern
    return parser.parse(pattern.pattern, pattern.flags)


def _longest(parsed: Any) -> int:
    """Of what it could match, in characters; unbounded repetitions count as much as there is."""
    return sum(_longest_of(str(op), argument) for op, argument in parsed)


def _longest_of(op: str, argument: Any) -> int:
    if op in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        _, most, inside = argument
        if op == "POSSESSIVE_REPEAT" and str(most) == "MAXREPEAT":
            return 1  # one pass over a run of a class, whose end is where the search goes on
        return int(most) * _longest(inside)
    if op == "BRANCH":
        return max(map(_longest, argument[1]))
    return sum(map(_longest, _inside(argument))) or 1


def _inside(argument: Any) -> Iterator[Any]:
    if type(argument).__name__ == "SubPattern":
        yield argument
    elif isinstance(argument, tuple | list):
        for one in argument:
            yield from _inside(one)


def test_a_random_order_of_pieces_keeps_every_other_piece() -> None:
    random, clean = Random(3), ["fine words", "v1.2.3", "2026-11-21", "10.0.0.1"]
    for _ in range(50):
        pieces = random.sample(PIECES, 5) + clean
        random.shuffle(pieces)
        left = Redactor().text("\n\n".join(pieces))
        assert all(one in left for one in clean)
