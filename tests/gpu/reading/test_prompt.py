"""Token ids of prompts: nothing that a user wrote is ever more than text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.reading.prompt import NULL_QUERY, PARAGRAPHS, STEM, Prompt
from support.readers import Form
from support.tiny_models import SPECIAL_TOKENS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SPECIAL = {TOKENIZER.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
FORM = Form()


def prompt(**over: int) -> Prompt:
    return Prompt(TOKENIZER, Form(**over), bos=0)  # type: ignore[arg-type]  # numbers alone


def text_of(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, clean_up_tokenization_spaces=False))


def test_the_whole_reads_as_published() -> None:
    made = prompt()
    chunks = [*made.chunk(1, "a cat"), *made.chunk(2, "a dog")]
    ids = [*made.opening, *(id for chunk in chunks for id in chunk), *made.stem, *made.tail("who?")]
    assert text_of(ids) == (
        f"<s>{FORM.user_opener}{PARAGRAPHS}\n\n[1] a cat\n\n[2] a dog"
        f"{STEM} who?{FORM.assistant_opener}"
    )
    assert text_of(made.null_tail) == f" {NULL_QUERY}{FORM.assistant_opener}"


def test_openers_are_special_and_bos_is_asked_for() -> None:
    assert prompt().opening[:2] == [0, TOKENIZER.convert_tokens_to_ids("<|im_start|>")]
    assert Prompt(TOKENIZER, FORM, bos=None).opening == prompt().opening[1:]
    assert SPECIAL & set(prompt().tail("who?"))


@given(st.text(), st.sampled_from(SPECIAL_TOKENS), st.text())
def test_no_text_of_a_user_holds_a_special_token(before: str, token: str, after: str) -> None:
    text = f"{before}{token}{after}"
    made = prompt()
    answer = len(made.tail("")) - len(TOKENIZER.encode(" ", add_special_tokens=False))
    said = [*made.chunk(1, text), made.tail(text)[:-answer]]
    assert not SPECIAL & {id for ids in said for id in ids}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 40))
def test_pieces_are_the_whole_chunk_and_none_is_too_long_or_empty(text: str, most: int) -> None:
    pieces = prompt(chunk_tokens=most).chunk(7, text)
    assert text_of([id for piece in pieces for id in piece]) == f"\n\n[7] {text}"
    assert {len(piece) for piece in pieces[:-1]} <= {most}
    assert 1 <= len(pieces[-1]) <= most


@given(st.text(st.characters()))
def test_any_text_has_ids(text: str) -> None:
    """Lone surrogates too: JSON can carry them, and no tokenizer takes them."""
    assert prompt().chunk(1, text)
    assert prompt().tail(text)


def test_a_lone_surrogate_reads_as_a_question_mark() -> None:
    (piece,) = prompt().chunk(1, "a\ud83dz")
    assert text_of(piece) == "\n\n[1] a?z"


def test_an_empty_chunk_is_its_label() -> None:
    assert [text_of(piece) for piece in prompt().chunk(3, "")] == ["\n\n[3] "]


@pytest.mark.parametrize("most", [1, 2, 7, 8])
def test_of_a_long_query_both_ends_are_kept(most: int) -> None:
    made = prompt(query_tokens=most)
    whole = TOKENIZER.encode(" " + "0123456789", add_special_tokens=False)
    answer = TOKENIZER.encode(FORM.assistant_opener, add_special_tokens=False)
    tail = made.tail("0123456789")
    assert len(tail) == most + len(answer)
    assert tail[most:] == answer
    first = most // 2
    assert tail[:most] == whole[:first] + whole[len(whole) - (most - first) :]


def test_a_query_that_fits_is_whole() -> None:
    query = "where does the cat sleep?"
    exactly = len(TOKENIZER.encode(f" {query}", add_special_tokens=False))
    assert prompt(query_tokens=exactly).tail(query) == prompt().tail(query)
    assert len(prompt(query_tokens=exactly - 1).tail(query)) == len(prompt().tail(query)) - 1


def test_what_goes_before_does_not_change_with_what_follows() -> None:
    made = prompt()
    one = made.chunk(1, "the cat sat")
    made.chunk(2, " on the mat")
    assert made.chunk(1, "the cat sat") == one
