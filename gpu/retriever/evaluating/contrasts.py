"""Two methods of one run against each other, question by question. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from retriever.evaluating.metrics import Interval, draws, interval
from retriever.evaluating.records import Record

PAIRS = (  # what each choice is to be better than
    ("heads adapted", "heads zero-shot"),
    ("fused adapted", "fused zero-shot"),
    ("fused adapted", "heads adapted"),
    ("fused adapted", "lexical"),
    ("fused adapted", "lexical+embedding"),
    ("fused adapted", "adapted: no embedding"),
    ("selected adapted", "lexical"),
    ("gateway", "BM25"),
    ("gateway", "lexical"),
)
FIGURE = "recall@10"


@dataclass(frozen=True)
class Contrast:
    """`gain` is of `method` less `beside`, with its 95 %, paired, by conversation."""

    set: str
    method: str
    beside: str
    gain: Interval

    def written(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> str:
        one = self.gain
        return (
            f"{self.set}: {self.method} less {self.beside}, {FIGURE} "
            f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        )


def contrasts(records: Sequence[Record], seed: int) -> list[Contrast]:
    """Of those pairs that were both asked, by set."""
    names = dict.fromkeys(one.set for one in records)
    return [
        found
        for name in names
        for found in _of_set(name, [one for one in records if one.set == name], seed)
    ]


def _of_set(name: str, records: Sequence[Record], seed: int) -> Iterator[Contrast]:
    figures = {
        (one.method, one.conversation, one.question): one.figures[FIGURE]
        for one in records
        if one.figures
    }
    methods = {method for method, _, _ in figures}
    asked = list(dict.fromkeys(key[1:] for key in figures))
    if not asked:
        return
    drawn = draws([conversation for conversation, _ in asked], seed)
    for method, beside in PAIRS:
        if {method, beside} <= methods:
            gains = [
                figures.get((method, *key), np.nan) - figures.get((beside, *key), np.nan)
                for key in asked
            ]
            yield Contrast(name, method, beside, interval(np.array(gains), drawn))
