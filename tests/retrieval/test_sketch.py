"""Sketches: never a term denied, however coarse, and the best segments chosen first."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.sketch import BYTES, LEAST_TRUST, Sketch, choose, fitted

WORDS = st.sets(st.text(max_size=12), max_size=60)
SIZES = st.integers(0, 12).map(lambda power: 1 << power)
BUDGET = 300_000


@given(WORDS)
def test_a_term_that_was_put_in_is_never_denied(words: set[str]) -> None:
    sketch = Sketch.of(words)
    assert all(sketch.might_hold(word) for word in words)


@given(WORDS)
def test_a_sketch_survives_its_text(words: set[str]) -> None:
    sketch = Sketch.of(words)
    assert Sketch.from_text(sketch.to_text()) == sketch


def test_few_strangers_are_taken_for_terms_of_a_full_segment() -> None:
    sketch = Sketch.of(f"word{i}" for i in range(5_000))
    mistaken = sum(sketch.might_hold(f"stranger{i}") for i in range(10_000))
    assert mistaken < 800


@given(WORDS, SIZES)
def test_a_shrunk_sketch_denies_no_term_either(words: set[str], size: int) -> None:
    sketch = Sketch.of(words).shrunk(size)
    assert sketch.size == size
    assert all(sketch.might_hold(word) for word in words)


@given(WORDS, SIZES, SIZES)
def test_shrinking_in_steps_is_shrinking_at_once(words: set[str], one: int, two: int) -> None:
    sketch = Sketch.of(words)
    assert sketch.shrunk(one).shrunk(two) == sketch.shrunk(min(one, two))


@given(WORDS, SIZES)
def test_a_shrunk_sketch_survives_its_text(words: set[str], size: int) -> None:
    sketch = Sketch.of(words).shrunk(size)
    assert Sketch.from_text(sketch.to_text()) == sketch


@pytest.mark.parametrize(
    ("size", "mistaken"), [(4096, 0.08), (2048, 0.27), (1024, 0.51), (512, 0.76)]
)
def test_strangers_are_taken_for_terms_as_trust_says(size: int, mistaken: float) -> None:
    sketch = Sketch.of(f"word{i}" for i in range(5_000)).shrunk(size)
    share = sum(sketch.might_hold(f"stranger{i}") for i in range(4_000)) / 4_000
    assert share < mistaken
    assert abs(1 - share - sketch.trust()) < 0.03


def test_a_sketch_without_an_empty_bit_proves_nothing_and_denies_nothing() -> None:
    sketch = Sketch(b"\xff")
    assert sketch.trust() == LEAST_TRUST
    assert sketch.might_hold("anything")


@given(st.integers(0, 400), st.integers(0, BUDGET))
def test_sketches_fit_their_budget_down_to_a_byte_each(count: int, budget: int) -> None:
    sizes = [sketch.size for sketch in fitted([Sketch(bytes(BYTES))] * count, budget)]
    assert len(sizes) == count
    assert sum(sizes) <= max(budget, count)
    assert sizes == sorted(sizes)  # the oldest first, and they are the coarser ones
    assert not sizes or sizes[-1] <= 2 * sizes[0]


def test_the_budget_is_used() -> None:
    sketches = fitted([Sketch(bytes(BYTES))] * 100, BUDGET)
    assert BUDGET - BYTES < sum(sketch.size for sketch in sketches) <= BUDGET


@given(st.lists(WORDS, max_size=12), st.integers(0, 40_000))
def test_no_budget_makes_a_sketch_deny_a_term(segments: list[set[str]], budget: int) -> None:
    sketches = fitted([Sketch.of(words) for words in segments], budget)
    for words, sketch in zip(segments, sketches, strict=True):
        assert all(sketch.might_hold(word) for word in words)


def test_a_coarse_sketch_that_says_yes_to_all_stands_behind_a_fine_one() -> None:
    fine = Sketch.of(["lake", *(f"word{i}" for i in range(3_000))])
    coarse = Sketch.of(f"word{i}" for i in range(3_000)).shrunk(64)
    assert choose(["lake", "rocket", "violin"], [fine, coarse, coarse], 1) == [0]


@pytest.mark.parametrize(("size", "found"), [(4096, 60), (1024, 55), (512, 30)])
def test_rare_words_find_their_segment_while_sketches_are_no_coarser_than(
    size: int, found: int
) -> None:
    """Of 60 segments with 3,000 terms each; the memory's own budget gives 1 KiB to each of 380."""
    words = [[f"word{i}" for i in range(n * 100, n * 100 + 3_000)] for n in range(60)]
    rare = [[f"rare{n} {k}" for k in range(3)] for n in range(60)]
    made = [Sketch.of([*words[n], *rare[n]]) for n in range(60)]
    sketches = fitted(made, 60 * size)
    assert sum(n in choose(["word7000", *rare[n]], sketches, 8) for n in range(60)) >= found


def test_an_empty_sketch_holds_nothing() -> None:
    assert not Sketch.of([]).might_hold("lake")


def test_a_sketch_is_the_same_in_every_process() -> None:
    code = (
        "from gateway.retrieval.sketch import Sketch; print(Sketch.of(['lake', '東京']).to_text())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == Sketch.of(["東京", "lake"]).to_text()


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "A" * BYTES])
def test_what_is_no_sketch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sketch|base64"):
        Sketch.from_text(text)


def test_the_segment_with_the_rarest_term_is_chosen_first() -> None:
    common = [Sketch.of(["lake", f"word{i}"]) for i in range(5)]
    assert choose(["lake", "word3"], common, 2) == [3, 4]


def test_segments_without_any_term_are_not_chosen() -> None:
    sketches = [Sketch.of(["lake"]), Sketch.of(["rocket"]), Sketch.of([])]
    assert choose(["rocket"], sketches, 8) == [1]


@given(st.lists(WORDS, max_size=6), WORDS, st.integers(0, 8), st.integers(0, 30_000))
def test_every_segment_that_holds_a_term_is_chosen_while_there_is_room(
    segments: list[set[str]], query: set[str], limit: int, budget: int
) -> None:
    chosen = choose(query, fitted([Sketch.of(words) for words in segments], budget), limit)
    holding = {i for i, words in enumerate(segments) if words & query}
    assert len(chosen) == len(set(chosen)) <= limit
    assert holding <= set(chosen) or len(chosen) == limit
