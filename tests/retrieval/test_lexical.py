import math
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.base import FLOOR, Chunk, Passage, Question, Scored
from gateway.retrieval.lexical import (
    BORROWED,
    K1,
    THIN,
    YOUNG,
    B,
    LexicalIndex,
    LexicalRanker,
    rank,
)
from gateway.retrieval.terms import terms
from retrieval.passages import chunk, monologue, passage

WORDS = ["lake", "harbor", "violin", "pepper", "rocket", "of", "the", "Ōsaka", "東京"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)


def ids(ranked: list[Scored]) -> list[str]:
    return [one.chunk.passages[0].id for one in ranked]


def alone(*texts: str) -> list[Chunk]:
    """Each text in a session of its own, so that none has neighbours."""
    return [
        chunk(passage(f"m{i}", text, at=float(i), session=f"s{i}")) for i, text in enumerate(texts)
    ]


def test_the_message_with_the_rarer_word_is_first() -> None:
    index = LexicalIndex(alone("the lake", "a violin by the lake", "lake again", "rockets"))
    assert ids(rank("violin lake", [index]))[0] == "m1"


def test_only_chunks_that_share_a_term_are_ranked() -> None:
    index = LexicalIndex(alone("lake", "rocket", "pepper"))
    assert ids(rank("Where is my pepper?", [index])) == ["m2"]


@pytest.mark.parametrize("query", ["", "what is it?", "zeppelin", "\x00\ud800"])
def test_a_query_that_meets_nothing_ranks_nothing(query: str) -> None:
    assert rank(query, [LexicalIndex(alone("lake", "rocket"))]) == []


@pytest.mark.parametrize("indexes", [[], [LexicalIndex([])], [LexicalIndex(alone("", "?"))]])
def test_an_empty_memory_ranks_nothing(indexes: list[LexicalIndex]) -> None:
    assert rank("lake", indexes) == []


def test_among_equals_the_latest_is_first() -> None:
    index = LexicalIndex(alone("lake one", "lake two", "lake six"))
    assert ids(rank("lake", [index])) == ["m2", "m1", "m0"]


def test_an_answer_borrows_from_the_question_before_it() -> None:
    question = passage("q", "Which instrument did Ana choose?", at=0)
    reply = passage("a", "The violin.", at=1)
    index = LexicalIndex([chunk(question, reply), *monologue("x y", "z z", session="other")])
    (found,) = rank("What instrument did Ana choose?", [index])
    assert found.passage_scores[1] == pytest.approx(BORROWED * found.passage_scores[0])
    assert found.score == found.passage_scores[0]


def test_nothing_is_borrowed_from_another_session() -> None:
    index = LexicalIndex(
        [chunk(passage("a", "lake", session="a")), chunk(passage("b", "pepper", session="b"))]
    )
    assert ids(rank("lake", [index])) == ["a"]


def test_neighbours_are_found_across_messages_of_other_sessions() -> None:
    said = [
        passage("a1", "lake", session="a"),
        passage("b1", "rocket", session="b"),
        passage("a2", "pepper", session="a"),
    ]
    index = LexicalIndex([chunk(one) for one in said])
    assert ids(rank("lake", [index])) == ["a1", "a2"]


def test_scores_are_those_of_the_formula() -> None:
    texts = ["lake lake harbor", "harbor", "violin violin violin violin", "lake"]
    index = LexicalIndex(alone(*texts))
    average = sum(len(terms(text)) for text in texts) / len(texts)
    rarity = {
        word: math.log(1 + (YOUNG - n + 0.5) / (n + 0.5)) for word, n in (("lake", 2), ("zoo", 0))
    }
    whole = max(sum(rarity.values()), THIN * rarity["zoo"]) * (1 + 2 * BORROWED)
    norm = K1 * (1 - B + B * 3 / average)
    found = {one.chunk.passages[0].id: one.score for one in rank("lake zoo", [index])}
    assert found["m0"] == pytest.approx(rarity["lake"] / whole * 2 / (2 + norm))


def test_an_unheard_of_word_lowers_the_score() -> None:
    index = LexicalIndex(alone("pepper", "lake harbor", "violin", "rocket"))
    known = rank("lake harbor violin", [index])[0].score
    assert rank("lake harbor zeppelin quicksort python", [index])[0].score < known


def test_one_common_word_scores_little() -> None:
    index = LexicalIndex(alone(*["hello lake"] * 20, "violin"))
    assert rank("hello", [index])[0].score < 0.05


def test_a_memory_of_one_message_is_above_the_floor_for_what_it_says() -> None:
    index = LexicalIndex(alone("My dog is called Rex."))
    assert rank("What's my dog's name?", [index])[0].score > FLOOR
    assert rank("What is the capital of France?", [index]) == []


def test_at_most_the_limit_comes_back_and_it_is_the_best() -> None:
    index = LexicalIndex(alone(*["lake"] * 30, "lake violin"))
    assert ids(rank("lake violin", [index], limit=1)) == ["m30"]


def test_a_pasted_document_is_a_query_too() -> None:
    rng = random.Random(3)
    pasted = " ".join(f"w{rng.randrange(5000)}" for _ in range(20_000))
    index = LexicalIndex(alone(*(f"w{i} w{i + 1}" for i in range(200))))
    assert rank(pasted, [index])


def test_an_index_knows_what_it_weighs() -> None:
    rng = random.Random(5)
    texts = ["".join(chr(rng.randrange(0x4E00, 0x5200)) for _ in range(99)) for _ in range(99)]
    ratios = []
    for _ in range(4):  # one of them may make Python's table of interned strings grow
        tracemalloc.start()
        index = LexicalIndex(alone(*texts))
        ratios.append(index.bytes / tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del index
    assert 0.7 < max(ratios) < 1.4


@given(TEXTS, st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), st.data())
def test_splitting_the_memory_into_indexes_changes_no_score(
    texts: list[str], query: str, data: st.DataObject
) -> None:
    chunks = alone(*texts)
    cut = data.draw(st.integers(0, len(chunks)))
    whole = rank(query, [LexicalIndex(chunks)])
    assert rank(query, [LexicalIndex(chunks[:cut]), LexicalIndex(chunks[cut:])]) == whole


@given(TEXTS, st.lists(st.sampled_from([*WORDS, "zoo"]), max_size=4).map(" ".join))
def test_scores_fall_lie_between_0_and_1_and_belong_to_sharers_or_neighbours(
    texts: list[str], query: str
) -> None:
    ranked = rank(query, [LexicalIndex(monologue(*texts))])
    scores = [one.score for one in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert all(one.score == max(one.passage_scores) for one in ranked)
    sharing = {i for i, text in enumerate(texts) if set(terms(text)) & set(terms(query))}
    beside = {j for i in sharing for j in (i - 1, i, i + 1) if 0 <= j < len(texts)}
    assert {one.place for one in ranked} == beside


@given(TEXTS, TEXTS, st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join))
def test_what_another_index_knew_changes_nothing(
    before: list[str], after: list[str], query: str
) -> None:
    said = alone(*before, *after)
    known = LexicalIndex(said[: len(before)])
    grown, anew = LexicalIndex(said, known), LexicalIndex(said)
    assert grown.counts() == anew.counts()
    assert rank(query, [grown]) == rank(query, [anew])


def test_a_message_that_another_index_holds_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = alone("lake one", "lake two", "lake six")
    known = LexicalIndex(said[:2])
    read: list[str] = []

    def counted(text: str) -> list[str]:
        read.append(text)
        return terms(text)

    monkeypatch.setattr("gateway.retrieval.lexical.terms", counted)
    LexicalIndex(said, known)
    assert read == ["lake six"]


def test_a_segment_that_grows_keeps_what_it_knows_of_its_messages() -> None:
    said = alone("lake one", "lake two", "lake six")
    before = LexicalIndex(said[:2])
    before.chunks[0].passages[0].traits.quoted = 7
    grown = LexicalIndex(alone("lake one", "lake two", "lake six"), before)
    assert grown.chunks[0].passages[0].traits.quoted == 7
    assert [grown.holding(term) for term in ("lak", "six", "harbor")] == [3, 1, 0]


async def test_places_are_counted_as_far_down_as_they_are_asked_for() -> None:
    told = [passage(f"m{i}", "fir " * (1 + i) + "oak " * (9 - i), at=float(i)) for i in range(9)]
    asked: list[str] = []

    def in_hand(one: Passage) -> bool:
        asked.append(one.id)
        return one.id == "m7"

    index = LexicalIndex([Chunk((one,)) for one in told])
    ranking = await LexicalRanker().rank(Question("fir", [index], "o", in_hand=in_hand))
    order = [id for id in ids(list(ranking.scored)) if id != "m7"]
    assert ranking.ranks[order[0]] == {"lexical": 1}
    assert len(asked) < len(told)
    assert sorted(ranking.ranks) == [f"m{i}" for i in (0, 1, 2, 3, 4, 5, 6, 8)]
    places = [
        ranking.ranks[one.chunk.passages[0].id]
        for one in ranking.scored
        if one.chunk.passages[0].id != "m7"
    ]
    assert places == [{"lexical": place} for place in range(1, 9)]
    assert "m7" not in ranking.ranks
