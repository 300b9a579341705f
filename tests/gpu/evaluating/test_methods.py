"""Ways to rank, and what becomes of a model's scores, by the gateway's own code."""

import pytest

from retriever.evaluating.combining import Ranked, combinations
from retriever.evaluating.ground import Ground
from retriever.evaluating.heads import Read
from retriever.evaluating.methods import Recency, Textbook, Words, WordsAndEmbedding, WordsSelected
from retriever.evaluating.nearness import Nearness
from retriever.judging.dialogues import Dialogue
from retriever.profile import Embedding
from support.embedders import Letters

SAID = [
    ("user", "Ann", "2024-01-05", "Hello there!"),
    ("assistant", "Bob", "2024-01-05", "Which boat did you buy?"),
    ("user", "Ann", "2024-01-05", "Vega, the blue one."),
    ("user", "Ann", "2024-02-07", "The rent of the boats is due."),
]


def ground() -> Ground:
    messages = [
        {"id": f"m{i}", "role": role, "speaker": speaker, "at": at, "text": text}
        for i, (role, speaker, at, text) in enumerate(SAID)
    ]
    given = {"id": "d", "source": "OURS", "licence": "MIT", "messages": messages}
    return Ground(Dialogue.model_validate(given), len)


def test_a_message_is_remembered_with_its_speaker_its_day_and_what_a_line_costs() -> None:
    here = ground()
    passages = [one for chunk in here.index.chunks for one in chunk.passages]
    assert [one.text for one in passages][2] == "Ann: Vega, the blue one."
    assert [one.date for one in passages] == [at for _, _, at, _ in SAID]
    assert here.tokens["m0"] > len("Ann: Hello there!")


def test_a_reply_stands_with_its_question_and_a_day_alone() -> None:
    chunks = [[one.id for one in chunk.passages] for chunk in ground().index.chunks]
    assert chunks == [["m0", "m1"], ["m2"], ["m3"]]


def test_undated_messages_keep_their_order() -> None:
    given = {"id": "d", "source": "OURS", "licence": "MIT"}
    said = [{"id": str(i), "role": "user", "text": "so"} for i in range(3)]
    here = Ground(Dialogue.model_validate({**given, "messages": said}), len)
    assert here.order(dict.fromkeys("012", 1.0)) == ["2", "1", "0"]
    assert not any(one.dated for chunk in here.index.chunks for one in chunk.passages)


def test_recency_puts_the_newest_first() -> None:
    here = ground()
    order = Recency().meet(here)("anything")["recency"]
    assert here.order(order.scores) == ["m3", "m2", "m1", "m0"]
    assert order.top is None


def test_textbook_bm25_knows_single_messages_and_whole_words() -> None:
    order = Textbook().meet(ground())("boat?")["BM25"]
    assert list(order.scores) == ["m1"]
    assert Textbook().meet(ground())("zebra")["BM25"].top == 0


def test_the_gateways_words_have_stems_and_neighbours() -> None:
    order = Words().meet(ground())("boat?")["lexical"]
    assert set(order.scores) == {"m0", "m1", "m2", "m3"}
    assert order.scores["m1"] > order.scores["m2"]


class NoBook:
    """Keeps what it is given, and counts."""

    def __init__(self) -> None:
        self.kept: dict[str, Read] = {}

    def find(self, key: str) -> Read | None:
        return self.kept.get(key)

    def write(self, key: str, read: Read) -> Read:
        return self.kept.setdefault(key, read)


def nearness(letters: Letters, book: NoBook) -> Nearness:
    return Nearness("letters", lambda: letters, 100, book, lambda: 0.0)


def test_an_embedding_ranks_what_shares_no_word() -> None:
    near = nearness(Letters(), NoBook()).meet
    scores = WordsAndEmbedding(near).meet(ground())("zebra")["lexical+embedding"].scores
    assert set(scores) == {"m0", "m1", "m2", "m3"}


def test_what_an_embedding_said_is_kept_and_messages_are_embedded_once() -> None:
    letters, book = Letters(), NoBook()
    near = nearness(letters, book).meet(ground())
    found = near("zebra")
    near("boat")
    assert len(letters.texts) == 4 + 2
    letters.asked.clear()
    assert nearness(letters, book).meet(ground())("zebra") == found
    assert letters.texts == []


BESIDE = Embedding(model="letters", weight=1.5, floor=0.4, asked_share=0.5)


def test_choices_about_the_embedding_are_rows_too() -> None:
    rows = combinations("it", 1.0, 0.1, BESIDE, ablations=True)
    here = ground()
    windows = (("m0", "m1"), ("m2", "m3"))
    alike = {"m0": 0.0, "m1": 0.0, "m2": 0.2, "m3": 0.9}
    ranked = Ranked(here, here.lexical("rent?"), {"m0": 0.9, "m3": 0.3}, alike, windows)
    assert ranked.asked(0.5) == {"m0": 0.0, "m1": 0.0, "m3": 0.3}
    assert "m0" not in rows["fused it"](ranked).scores
    assert "m0" in rows["it: windows asked 1"](ranked).scores
    assert "m0" in rows["it: no embedding"](ranked).scores
    assert "it: embedding 1" in rows
    assert "it: embedding 1.5" not in rows


def asked(attended: dict[str, float]) -> Ranked:
    here = ground()
    return Ranked(here, here.lexical("rent?"), attended)


def test_a_model_alone_is_its_own_order() -> None:
    rows = combinations("it", 1.0, 0.1, ablations=False)
    assert list(rows) == ["heads it", "fused it", "selected it"]
    order = rows["heads it"](asked({"m0": 0.3, "m2": 0.9}))
    assert (order.scores, order.top) == ({"m0": 0.3, "m2": 0.9}, 0.9)


def test_a_model_that_ranks_alone_is_not_fused() -> None:
    assert list(combinations("it", None, 0.1, ablations=True)) == ["heads it", "selected it"]


def test_fused_is_what_either_knows_and_selected_what_a_prompt_would_hold() -> None:
    rows, ranked = combinations("it", 1.0, 0.1, ablations=False), asked({"m2": 0.9, "m0": 0.001})
    assert set(rows["fused it"](ranked).scores) == {"m0", "m1", "m2", "m3"} - {"m1"}
    selected = rows["selected it"](ranked)
    assert set(selected.scores) == {"m2", "m3"}
    assert selected.top is None


def test_what_is_selected_goes_by_the_floors_and_what_is_ranked_does_not() -> None:
    rows, ranked = combinations("it", 1.0, 50.0, ablations=False), asked({"m2": 0.9})
    assert rows["fused it"](ranked).scores
    assert rows["selected it"](Ranked(ranked.ground, [], {"m2": 0.9})).scores == {}
    assert WordsSelected().meet(ground())("zebra")["selected lexical"].scores == {}
    assert WordsSelected().meet(ground())("boat rent")["selected lexical"].scores


def test_every_choice_undone_is_a_row() -> None:
    rows, ranked = combinations("it", 1.0, 0.1, ablations=True), asked({"m1": 0.9, "m2": 0.0})
    assert rows["it: nothing lent"](ranked).scores.get("m2") is None
    assert rows["fused it"](ranked).scores["m2"] > 0
    light = rows["it: weight 0.25"](ranked).scores
    assert light["m1"] == pytest.approx(0.25)
    ranks = rows["it: reciprocal ranks"](ranked).scores
    assert ranks["m3"] == pytest.approx(1 / 61)
    assert ranks["m1"] == pytest.approx(1 / 61)
