import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retrieval.sketch import BYTES, Sketch, choose

WORDS = st.sets(st.text(max_size=12), max_size=60)


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


@given(st.lists(WORDS, max_size=6), WORDS, st.integers(0, 8))
def test_every_segment_that_holds_a_term_is_chosen_while_there_is_room(
    segments: list[set[str]], query: set[str], limit: int
) -> None:
    chosen = choose(query, [Sketch.of(words) for words in segments], limit)
    holding = {i for i, words in enumerate(segments) if words & query}
    assert len(chosen) == len(set(chosen)) <= limit
    assert holding <= set(chosen) or len(chosen) == limit
