"""When a question is asked behind the turn before it, and what of that turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.asking import MAX_CHARACTERS, SAID_CHARACTERS, in_context, leaning

ASKED = "I took my dog Rex to the vet on Main Street yesterday."
ANSWERED = "How is he today?"


@pytest.mark.parametrize(
    "question",
    [
        "How much did it cost?",
        "What did the vet say about it?",
        "Was that on Monday?",
        "How much did that trip cost?",
        "Does she still live there?",
        "Since then, what have I told them?",
        "What was its name?",
        "Which one did I pick?",
        "Wie alt ist er?",
        "Was hast du davon gehalten?",
        "¿Cuántos años tiene ella?",
        "Combien ça coûte?",
        "Quanto costa quello?",
    ],
)
def test_a_question_that_points_at_nothing_of_its_own_leans_on_the_turn_before(
    question: str,
) -> None:
    assert leaning(question) is not None
    assert in_context(question, ASKED, ANSWERED).endswith(f"\n{question}")


@pytest.mark.parametrize(
    "question",
    [
        "When did my sister visit and did she like it?",
        "What did Caroline do with her kids?",
        "When does the course start and how much does it cost?",
        "Which lessons that I took were good?",
        "What did I do this week?",
        "What time is it in Tokyo?",
        "Is it possible to fly to Mars?",
        "Is there a lake near Porto?",
        "What would I choose when it comes to tea over coffee?",
        "Remember that I like tea.",
        "Thank you so much, that was very helpful.",
        "I love it!",
        "And thanks again.",
        "Wann hat Anna ihren Hund abgeholt?",
        "¿Cuándo empieza el curso?",
        "Quand est-ce que le cours commence?",
        "Hello!",
        "thanks",
        "ok",
        "Continue.",
        "",
        "   ",
        "👍",
        "彼女は何歳ですか",
    ],
)
def test_a_message_that_tells_all_by_itself_is_asked_as_it_is(question: str) -> None:
    assert in_context(question, ASKED, ANSWERED) == question


def test_what_the_turn_before_names_stands_before_the_question() -> None:
    found = in_context("How much did it cost?", ASKED, ANSWERED)
    assert found == "dog Rex, vet, Main Street\nHow much did it cost?"


def test_of_people_the_names_are_enough() -> None:
    said = "My sister Ana wants to see the old harbour."
    assert in_context("How old is she?", said, "") == "Ana\nHow old is she?"


def test_someone_without_a_name_is_known_by_what_they_are() -> None:
    assert in_context("How old is she?", "I met my sister.", "") == "sister\nHow old is she?"


def test_an_answer_names_things_too() -> None:
    found = in_context("How old is he?", "What did I call my dog?", "You called him Rex.")
    assert found == "dog, Rex\nHow old is he?"


@pytest.mark.parametrize("question", ["And on Sunday?", "What about Porto?", "Und am Sonntag?"])
def test_a_question_that_goes_on_with_another_stands_behind_it(question: str) -> None:
    asked = "When does the shop open on Monday?"
    assert in_context(question, asked, "At nine.") == f"{asked}\n{question}"


@pytest.mark.parametrize("question", ["Why?", "When was that?", "Where?"])
def test_a_bare_question_word_leans_on_the_turn_before(question: str) -> None:
    assert in_context(question, ASKED, ANSWERED) != question


def test_without_a_turn_before_a_question_stays_as_it_is() -> None:
    assert in_context("How much did it cost?", "", "") == "How much did it cost?"


def test_a_turn_that_names_nothing_brings_nothing() -> None:
    assert in_context("How much did it cost?", "hm, well", "ok") == "How much did it cost?"


def test_a_long_message_is_asked_as_it_is() -> None:
    assert leaning("it " * MAX_CHARACTERS) is None


@given(st.text(max_size=400), st.text(max_size=600), st.text(max_size=600))
def test_the_question_is_never_changed_and_its_context_is_short(
    question: str, asked: str, answered: str
) -> None:
    found = in_context(question, asked, answered)
    assert found.endswith(question)
    assert len(found) - len(question) <= 2 * SAID_CHARACTERS + 10


def test_of_texts_of_megabytes_only_the_beginning_is_read() -> None:
    huge = "the boat Vega " * 500_000
    found = in_context("How much did it cost?", huge, huge)
    assert found == "boat Vega\nHow much did it cost?"
    assert leaning(huge) is None
