"""Vectors beside keys and values: what is embedded, for whom, how often, and what it chooses."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from retriever.reading.likeness import MOST_CHARACTERS, TEXTS_OF_A_PASS, promising
from retriever.reading.vectors import OVERHEAD_BYTES, SHARE
from retriever_contract.wire import Chunk
from support.embedders import LETTERS, Letters
from support.readers import OWNER, Desk, desk
from support.tiny_models import tiny_model

TEXTS = ("user: a cat", "assistant: which one?", "user: the black one")
MORE = "user: zzz"
VECTOR_BYTES = 4 * len(LETTERS) + OVERHEAD_BYTES


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def here(letters: Letters) -> Desk:
    return desk(tiny_model("llama", seed=3), embedder=letters)


def test_without_an_embedding_there_is_no_likeness() -> None:
    job = desk(tiny_model("llama", seed=3)).begin(TEXTS, "cat?")
    assert job.likeness is None
    assert job.is_embedded


def test_every_chunk_has_a_cosine_for_every_query(here: Desk) -> None:
    job = here.begin([TEXTS[:1], TEXTS[1:]], "user: a cat", "zzz")
    here.finish(job)
    assert job.likeness is not None
    cat, zzz = job.likeness.scores() or ([], [])
    assert cat[0] == pytest.approx(1.0)
    assert max(cat[1:]) < 1
    assert zzz == [0.0, 0.0, 0.0]


def test_a_repeated_question_embeds_its_query_alone(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    letters.asked.clear()
    here.rank(TEXTS, "dog?")
    assert letters.texts == ["dog?"]


def test_a_new_turn_embeds_itself_alone(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    letters.asked.clear()
    here.rank((*TEXTS, MORE), "cat?")
    assert sorted(letters.texts) == ["cat?", MORE]


def test_windows_cut_otherwise_embed_nothing_again(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    letters.asked.clear()
    here.rank([TEXTS[:2], TEXTS[2:]], "cat?")
    assert letters.texts == ["cat?"]


def test_what_is_said_twice_is_embedded_once(here: Desk, letters: Letters) -> None:
    here.rank((MORE, MORE), "cat?")
    assert letters.texts.count(MORE) == 1


def test_owners_and_epochs_never_share_a_vector(here: Desk, letters: Letters) -> None:
    for owner, epoch in ((OWNER, 0), ("f" * 16, 0), (OWNER, 1)):
        here.rank(TEXTS, "cat?", owner=owner, epoch=epoch)
    assert letters.texts.count(TEXTS[0]) == 3


def test_a_prefill_embeds_and_asks_nothing(here: Desk, letters: Letters) -> None:
    here.finish(here.begin(TEXTS))
    assert sorted(letters.texts) == sorted(TEXTS)


def test_forgetting_purges_one_owners_vectors(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    here.rank(TEXTS, "cat?", owner="f" * 16)
    here.reader.cache.forget(OWNER)
    letters.asked.clear()
    here.rank(TEXTS, "cat?", owner="f" * 16)
    assert letters.texts == ["cat?"]
    here.rank(TEXTS, "cat?")
    assert letters.texts.count(TEXTS[0]) == 1


def test_vectors_are_counted_among_what_is_kept(here: Desk) -> None:
    here.rank(TEXTS, "cat?")
    cache = here.reader.cache
    assert cache.vectors.bytes_kept == 3 * VECTOR_BYTES
    windows = cache.bytes_kept - cache.vectors.bytes_kept
    assert windows > 0
    cache.forget(OWNER)
    assert cache.bytes_kept == 0


def test_vectors_take_a_part_of_the_bytes_and_the_oldest_go(letters: Letters) -> None:
    here = desk(tiny_model("llama", seed=3), embedder=letters, max_bytes=2 * VECTOR_BYTES * SHARE)
    for text in TEXTS:
        here.finish(here.reader.begin(OWNER, 0, [], ["cat?"], None, [[Chunk(id="a", text=text)]]))
    here.reader.cache.evict()
    assert len(here.reader.cache.vectors) == 2
    letters.asked.clear()
    here.finish(here.reader.begin(OWNER, 0, [], ["cat?"], None, [[Chunk(id="a", text=TEXTS[2])]]))
    assert letters.texts == ["cat?"]


def test_what_nobody_asks_about_goes_in_time(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    here.clock.now += here.reader.cache.idle_seconds
    here.reader.cache.evict()
    assert len(here.reader.cache.vectors) == 0
    assert here.reader.cache.bytes_kept == 0


def test_what_is_beyond_is_embedded_and_never_read(here: Desk, letters: Letters) -> None:
    beyond = [[Chunk(id="far", text=MORE)]]
    job = here.reader.begin(OWNER, 0, [[Chunk(id="near", text=TEXTS[0])]], ["zzz?"], None, beyond)
    here.finish(job)
    assert MORE in letters.texts
    assert len(here.reader.cache) == len(job.parts) == 1
    assert job.likeness is not None
    (found,) = job.likeness.scores() or [[]]
    assert found[1] > found[0]


def test_many_texts_take_several_passes_and_one_that_needs_its_query_alone_goes_before(
    here: Desk, letters: Letters
) -> None:
    here.rank(TEXTS, "cat?")
    many = [f"user: number {i}" for i in range(2 * TEXTS_OF_A_PASS)]
    cold, warm = here.begin(many, "number?", owner="f" * 16), here.begin(TEXTS, "dog?")
    letters.asked.clear()
    here.finish(cold, warm)
    assert letters.asked[0] == ["dog?"]
    assert max(map(len, letters.asked)) == TEXTS_OF_A_PASS


def test_a_new_turn_goes_before_a_memory_that_is_new(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, "cat?")
    many = [f"user: number {i}" for i in range(2 * TEXTS_OF_A_PASS)]
    cold, warm = here.begin(many, "number?", owner="f" * 16), here.begin((*TEXTS, MORE), "dog?")
    letters.asked.clear()
    here.finish(cold, warm)
    assert letters.asked[:2] == [["dog?"], [MORE]]


def test_two_questions_at_once_embed_a_text_once(here: Desk, letters: Letters) -> None:
    here.finish(here.begin(TEXTS, "cat?"), here.begin((*TEXTS, MORE), "dog?"))
    assert sorted(letters.texts) == sorted([*TEXTS, MORE, "cat?", "dog?"])


def test_of_a_query_that_is_too_long_both_ends_count(here: Desk, letters: Letters) -> None:
    here.rank(TEXTS, f"of this: {'word ' * 700} where is the cat?")
    (query,) = [text for text in letters.texts if "word" in text]
    assert query.startswith("of this: ")
    assert query.endswith(" where is the cat?")
    assert len(query) <= MOST_CHARACTERS + 1


def test_a_vector_that_is_no_number_is_gone_without_and_not_kept() -> None:
    """As a type too narrow for the embedding gives it; the next question embeds it again."""
    expected = desk(tiny_model("llama", seed=3)).rank(TEXTS, "cat?")
    sound, broken = Letters(), Broken()
    here = desk(tiny_model("llama", seed=3), embedder=broken)
    assert here.rank(TEXTS, "cat?") == expected
    assert len(here.reader.cache.vectors) == 0
    broken.heals(sound)
    job = here.begin(TEXTS, "cat?")
    here.finish(job)
    assert sorted(sound.texts) == sorted([*TEXTS, "cat?"])
    assert job.likeness is not None
    assert job.likeness.is_whole


class Broken:
    """Not a number, until it heals."""

    def __init__(self) -> None:
        self._sound: Letters | None = None

    def heals(self, sound: Letters) -> None:
        self._sound = sound

    def vectors(self, texts: Sequence[str]) -> Tensor:
        if self._sound is not None:
            return self._sound.vectors(texts)
        return torch.full((len(texts), len(LETTERS)), float("nan"))


def test_vectors_give_way_to_windows_that_are_read(letters: Letters) -> None:
    """All that is kept stays within its bytes."""
    narrow = desk(tiny_model("llama", seed=3))
    size = narrow.reader.bytes_of(narrow.begin(TEXTS, "cat?"))
    here = desk(tiny_model("llama", seed=3), embedder=letters, max_bytes=size)
    many = [Chunk(id=f"{i}", text=f"user: {i}") for i in range(10)]
    here.finish(here.reader.begin(OWNER, 0, [], ["cat?"], None, [many]))
    assert here.reader.cache.bytes_kept == 10 * VECTOR_BYTES
    here.rank(TEXTS, "cat?", owner="f" * 16)
    assert here.reader.cache.bytes_kept <= size


class Panic(BaseException):
    """As Rust's reach Python: no Exception."""


@pytest.mark.parametrize("error", [ArithmeticError("no"), Panic("no")])
def test_an_embedding_that_fails_is_gone_without(
    here: Desk, letters: Letters, error: BaseException
) -> None:
    expected = desk(tiny_model("llama", seed=3)).rank(TEXTS, "cat?")
    letters.error = error
    job = here.begin(TEXTS, "cat?")
    here.finish(job)
    assert job.scores() == expected
    assert job.likeness is not None
    assert job.likeness.scores() is None


WINDOWS = ["user: zzz", "user: cat", "user: yyy", "user: cats"]


def test_heads_are_asked_about_the_windows_most_alike(letters: Letters) -> None:
    model = tiny_model("llama", seed=3)
    every = desk(model).rank([[one] for one in WINDOWS], "cat")[0]
    half = desk(model, embedder=letters, asked_share=0.5).rank([[one] for one in WINDOWS], "cat")[0]
    assert half == [0.0, every[1], 0.0, every[3]]


def test_where_likeness_failed_all_windows_are_asked(letters: Letters) -> None:
    model = tiny_model("llama", seed=3)
    letters.error = ArithmeticError("no")
    windows = [[one] for one in WINDOWS]
    found = desk(model, embedder=letters, asked_share=0.5).rank(windows, "cat")
    assert found == desk(model).rank(windows, "cat")


def test_some_window_is_always_promising() -> None:
    assert promising([], 0.5) == frozenset()
    assert promising([[0.1]], 0.1) == {0}
    assert promising([[0.1], [0.9], [0.5, 0.5]], 0.5) == {1, 2}
