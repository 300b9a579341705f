import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.terms import MAX_CHARACTERS, MAX_WORD, stem, terms, words


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cities", "city"),
        ("planning", "planned"),
        ("Camping trips", "camp trip"),
        ("moved", "moving"),
        ("CAFÉ", "cafe"),
        ("Straße", "STRASSE"),
        ("ＦＵＬＬ", "full"),
        ("don't", "don’t"),
        ("snake_case", "snake case"),
        ("ёлка", "елка"),
        ("ｶﾞ", "ガ"),
    ],
)
def test_forms_of_one_word_are_one_term(asked: str, said: str) -> None:
    assert terms(asked) == terms(said)


@pytest.mark.parametrize(
    "pair", [("sing", "s"), ("this", "thi"), ("glass", "glas"), ("news", "new york"), ("1", "12")]
)
def test_different_words_stay_apart(pair: tuple[str, str]) -> None:
    assert terms(pair[0]) != terms(pair[1])


def test_function_words_are_no_terms_and_numbers_are() -> None:
    assert terms("What is the 2nd of 45 things that you did?") == ["2nd", "45", "thing"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("猫", ["猫"]),
        ("iPhoneを買った", ["iphon", "を買", "買っ", "った"]),
        ("안녕하세요 세계", ["안녕", "녕하", "하세", "세요", "세계"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
        ("ดี", ["ดี"]),
    ],
)
def test_every_script_has_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_a_foreign_word_beside_it_does_not_change_an_english_term() -> None:
    assert terms("planning trips")[:2] == terms("planning trips é")[:2]


def test_endless_words_count_by_their_beginning() -> None:
    assert terms("x" * 10_000) == ["x" * MAX_WORD]


def test_what_lies_beyond_the_bound_is_not_read() -> None:
    assert terms("a1 " * MAX_CHARACTERS) == terms(("a1 " * MAX_CHARACTERS)[:MAX_CHARACTERS])


def test_marks_without_end_are_read_in_linear_time() -> None:
    # Normalised in one piece this takes minutes, past the test's time limit.
    assert len(terms("a" + "\u0315\u0300" * 50_000)) <= 1


@given(st.text())
def test_any_text_has_terms_and_asking_with_them_finds_them(text: str) -> None:
    found = terms(text)
    assert all(found)
    assert len(found) <= len(words(text))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
def test_a_stem_is_never_longer_than_its_word_and_never_empty(word: str) -> None:
    assert 0 < len(stem(word)) <= len(word)
