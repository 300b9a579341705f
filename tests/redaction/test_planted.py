"""Precision and recall on a labelled set, as counts; `tests/benchmarks/redaction.py` tells them."""

from collections import Counter

import pytest

from gateway.redaction.base import MARK
from gateway.redaction.redactor import Redactor
from support.planted import Planted, harmless, planted

MISSED_AT_MOST = {"API_KEY": 0.03, "EMAIL": 0.0, "CARD": 0.0, "PHONE": 0.0}


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_planted_is_found_and_nothing_of_it_stays(seed: int) -> None:
    everything, missed = planted(seed), Counter[str]()
    for one in everything:
        left = Redactor().text(one.text)
        if one.secret in left or f"{MARK}{one.kind}]" not in left:
            missed[str(one.kind)] += 1
    told = Counter(str(one.kind) for one in everything)
    assert told.total() > 200
    for kind, most in MISSED_AT_MOST.items():
        assert missed[kind] <= most * told[kind], (kind, missed, told)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_what_only_looks_like_a_secret_everything_stays(seed: int) -> None:
    everything = harmless(seed)
    changed = [one.text for one in everything if Redactor().text(one.text) != one.text]
    assert len(everything) > 900
    assert changed == []


def test_around_a_secret_every_character_stays() -> None:
    for one in planted(3):
        assert one.kind is not None
        if one.secret not in (left := Redactor().text(one.text)):
            assert left == one.text.replace(one.secret, f"{MARK}{one.kind}]"), _shown(one, left)


def _shown(one: Planted, left: str) -> str:
    return f"{one.text!r} became {left!r}"
