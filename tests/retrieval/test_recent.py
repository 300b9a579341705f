import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.lexical import LexicalIndex, rank
from gateway.retrieval.recent import RecentIndex
from gateway.retrieval.terms import terms
from retrieval.passages import chunk, passage

WORDS = ["lake", "harbor", "violin", "pepper", "rocket", "of", "the", "Ōsaka", "東京"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)
QUERIES = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@given(TEXTS, TEXTS, QUERIES)
def test_it_ranks_as_postings_do(recent: list[str], older: list[str], query: str) -> None:
    said = [
        chunk(passage(f"m{i}", text, at=float(i), session=f"s{i % 2}"))
        for i, text in enumerate([*older, *recent])
    ]
    before, after = said[: len(older)], said[len(older) :]
    found = rank(query, [LexicalIndex(before), RecentIndex(after)])
    expected = rank(query, [LexicalIndex(before), LexicalIndex(after)])
    scores = {one.place: one.passage_scores for one in expected}
    assert {one.place: one.passage_scores for one in found} == {
        place: pytest.approx(each) for place, each in scores.items()
    }
    assert RecentIndex(after).counts() == LexicalIndex(after).counts()


def test_the_next_one_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [chunk(passage(f"m{i}", f"lake {i}")) for i in range(3)]
    before = RecentIndex(said[:2])
    read: list[str] = []

    def counted(text: str) -> list[str]:
        read.append(text)
        return terms(text)

    monkeypatch.setattr("gateway.retrieval.lexical.terms", counted)
    after = RecentIndex(said[1:], before)
    assert read == ["lake 2"]
    assert (after.size, after.holding("2")) == (2, 1)
