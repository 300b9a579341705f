"""What the model is shown: as much as the budget holds, under names that mean nothing elsewhere."""

from gateway.entities.asking import KNOWN_TOKENS, Known, Said, Shown, question, within_budget
from gateway.entities.content import Content, Statement
from support.memories import NOON


def known(number: int) -> Known:
    statement = Statement(f"s{number}", "facts", "Likes tea.", NOON)
    content = Content("person", f"Person {number}", NOON, statements=(statement,))
    return Known(f"entity-{number}", 1, content, [statement])


def test_nothing_known_is_a_question_too() -> None:
    system, user = question(Shown({}), [Said("user", "Hello")], NOON)
    assert (system["role"], user["content"].splitlines()[0]) == ("system", "<entities>")


def test_ids_are_not_shown() -> None:
    shown = Shown.of([known(1), known(2)])
    _, user = question(shown, [Said("user", "Hello", "m1")], NOON)
    assert "entity-1" not in user["content"]
    assert shown.statement("e2", "e2.1") == known(2).statements[0]
    assert shown.statement("e1", "e2.1") is None


def test_the_first_ones_that_the_budget_holds_are_shown() -> None:
    kept = within_budget([known(n) for n in range(9)], lambda _: KNOWN_TOKENS // 3)
    assert [one.id for one in kept] == ["entity-0", "entity-1", "entity-2"]
