"""What is reserved: what was asked for surely, what is guessed as far as there is room."""

from typing import Any

import orjson
import pytest

from gateway.chat.compression import CompressionOptions
from gateway.chat.estimates import LONGEST_GUESS_TOKENS, Bound, Sizes, bound_of
from gateway.chat.wire import ChatRequest, parse_chat

OPTIONS = CompressionOptions(token_budget=2_000, compress_above_tokens=3_000, recent_turns=2)


def chat(*roles: str, **fields: Any) -> ChatRequest:
    messages = [{"role": role, "content": "x"} for role in roles]
    return parse_chat(orjson.dumps({"model": "m", "messages": messages, **fields}))


def bound(
    request: ChatRequest,
    each: int = 100,
    *,
    reads: bool = True,
    session: str | None = None,
    sizes: Sizes | None = None,
) -> Bound:
    tokens = [each] * len(request.messages)
    sizes = sizes or Sizes()
    return bound_of("alice", request, tokens, 3, OPTIONS, sizes, reads=reads, session=session)


def test_without_memory_a_request_is_what_was_sent_and_what_it_asks_for() -> None:
    assert bound(chat("user", max_tokens=50, n=2), reads=False) == Bound(203, 0)


def test_a_completion_that_is_not_limited_is_guessed_per_choice() -> None:
    assert bound(chat("user", n=3), reads=False) == Bound(103, 1_200)


def test_memory_may_bring_its_budget_and_a_named_session_its_history() -> None:
    assert bound(chat("user", max_tokens=10)) == Bound(113, 2_000)
    assert bound(chat("user", max_tokens=10), session="s") == Bound(113, 5_000)


def test_a_long_resent_chat_counts_as_it_will_be_cut() -> None:
    request = chat(*["user", "assistant"] * 20, "user", max_tokens=10)
    whole = bound(request, reads=False)
    assert bound(request).sure < whole.sure / 3


def test_a_guess_never_makes_a_request_too_large() -> None:
    assert Bound(sure=100, guessed=5_000).within(1_000) == 1_000
    assert Bound(sure=1_200, guessed=5_000).within(1_000) == 1_200
    assert Bound(sure=100, guessed=5_000).within(0) == 5_100


def test_one_very_long_answer_of_one_person_keeps_nobody_out() -> None:
    sizes = Sizes()
    for _ in range(50):
        sizes.learn("alice", "m", 120_000)
    assert sizes.expected("alice", "m") == LONGEST_GUESS_TOKENS
    assert sizes.expected("bob", "m") == 400


def test_answers_are_learnt_from() -> None:
    sizes = Sizes()
    for _ in range(40):
        sizes.learn("alice", "m", 50)
    assert sizes.expected("alice", "m") == pytest.approx(50, abs=5)


def test_a_session_that_brought_much_is_expected_to_bring_more() -> None:
    sizes = Sizes()
    sizes.learn_history("alice", "s", 8_000)
    request = chat("user", max_tokens=10)
    assert bound(request, session="s", sizes=sizes) == Bound(113, 12_000)
    assert bound(request, session="other", sizes=sizes) == Bound(113, 5_000)
