"""No document of the entities' passes 900 KiB, whatever is said in it."""

from dataclasses import replace

import pytest

from gateway.entities.cards import MAX_ENTITIES, Index, card_of
from gateway.entities.commits import Commit, Touched
from gateway.entities.content import CONTENT_BYTES, Content, Statement, checked
from gateway.entities.operations import MAX_NAME, MAX_OPERATIONS
from gateway.entities.versions import MAX_VERSIONS, History, Mark
from gateway.errors import TooLarge
from support.sizes import LARGEST_DOCUMENT, firestore_bytes

LATE = 253_402_300_799.999
LONG = "e" + "0" * 16


@pytest.mark.parametrize("character", ["x", "\U00010348", "\x01", '"'])
def test_an_index_of_the_most_entities_with_the_longest_names(character: str) -> None:
    content = Content("preference", character * MAX_NAME, LATE, LATE, 0.123456789012345, ("x",))
    card = card_of(LONG, content, MAX_VERSIONS, LATE)
    cards = {f"e{n:016d}": replace(card, id=f"e{n:016d}") for n in range(MAX_ENTITIES)}
    index = Index().with_cards(cards)
    assert firestore_bytes(index.packed()) < LARGEST_DOCUMENT
    with pytest.raises(TooLarge):
        index.with_cards({LONG.replace("0", "v"): card})


def test_the_longest_history() -> None:
    marks = tuple(Mark(n, LATE, LATE, 999_999_999) for n in range(1, MAX_VERSIONS + 1))
    history = History(marks)
    assert firestore_bytes(history.packed()) < LARGEST_DOCUMENT
    with pytest.raises(TooLarge):
        history.grown(marks[0])


@pytest.mark.parametrize("character", ["x", "\U00010348", "\x01", '"'])
def test_content_that_is_let_through_is_small(character: str) -> None:
    statements = [Statement(f"s{n}", "facts", character * 1000, LATE) for n in range(26)]
    content = checked(Content("person", "x", LATE, statements=tuple(statements)))
    assert len(content.packed().encode()) <= CONTENT_BYTES


def test_a_commit_of_the_most_operations() -> None:
    changes = tuple(Touched(LONG, 1, 2) for _ in range(MAX_OPERATIONS))
    commit = Commit(1, "session", LATE, LATE, "s" * 200, MAX_OPERATIONS, changes)
    assert firestore_bytes(commit.packed()) < LARGEST_DOCUMENT
