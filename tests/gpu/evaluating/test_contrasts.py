"""Two methods against each other: the same questions, by conversation."""

import pytest

from retriever.evaluating.contrasts import contrasts
from retriever.evaluating.records import Record


def record(method: str, question: str, recall: float | None, conversation: str = "c") -> Record:
    return Record(
        set="a",
        conversation=conversation,
        question=question,
        kind="k",
        method=method,
        evidence=("m",),
        ranked=(),
        figures={} if recall is None else {"recall@10": recall},
        top=None,
        seconds=0.0,
        is_first=False,
    )


def test_a_pair_is_judged_on_the_questions_that_both_were_asked() -> None:
    asked = [record("gateway", "q1", 1.0), record("BM25", "q1", 0.5), record("BM25", "q2", 0.0)]
    (found,) = contrasts(asked, 0)
    assert (found.method, found.beside) == ("gateway", "BM25")
    assert (found.gain.value, found.gain.questions) == (0.5, 1)
    assert found.told() == "a: gateway less BM25, recall@10 +0.500 (+0.500 to +0.500)"


def test_an_interval_is_as_wide_as_conversations_differ() -> None:
    asked = [
        record(method, "q", recall, conversation)
        for method, recalls in (("gateway", (1.0, 0.0)), ("BM25", (0.0, 0.0)))
        for recall, conversation in zip(recalls, "cd", strict=True)
    ]
    (found,) = contrasts(asked, 0)
    assert found.gain.value == pytest.approx(0.5)
    assert (found.gain.low, found.gain.high) == (0.0, 1.0)


def test_what_was_not_asked_has_no_contrast() -> None:
    assert contrasts([record("gateway", "q", 1.0)], 0) == []
    assert contrasts([record("gateway", "q", None), record("BM25", "q", None)], 0) == []
    assert contrasts([], 0) == []
