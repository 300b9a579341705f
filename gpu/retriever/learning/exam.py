"""How well a model ranks conversations that it was not trained on, through the reader that serves.

Stretches of several windows, the same at every exam. What is compared is recall of exchanges in the
first places, question by question.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from retriever.judging.calibration import calibrate
from retriever.judging.choice import order_of, recall
from retriever.judging.trials import Sampler, Sets, Stretch
from retriever.learning.lessons import remembered
from retriever.profile import Head
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader

PLACES = 5  # ten hold all of a stretch whose messages are long
MOST_QUESTIONS = 12  # of a stretch
PASS_ROWS = 1024
RESAMPLES = 2000


@dataclass(frozen=True)
class Result:
    """Recall of each question, by set, in the order of the exam's questions."""

    recalls: dict[str, list[float]]

    @property
    def mean(self) -> float:
        """Of the sets' means, so that no set counts for its size."""
        means = [_mean(each) for each in self.recalls.values()]
        return _mean(means)

    def of_sets(self) -> dict[str, float]:
        return {name: _mean(each) for name, each in self.recalls.items()}


@dataclass(frozen=True)
class Interval:
    """95 %, from resampled questions."""

    value: float
    low: float
    high: float


class Exam:
    def __init__(
        self, model: Any, heads: Sequence[Head], prompt: Prompt, window_tokens: int
    ) -> None:
        self._model = model
        self._heads = heads
        self._prompt = prompt
        self._window_tokens = window_tokens

    def take(self, stretches: Sequence[Stretch]) -> Result:
        """The model is used as it is now, with its adapter's layers."""
        decoder = Decoder(self._model, self._heads)

        def reader() -> Reader:
            cache = WindowCache(0, float("inf"), time.monotonic)
            return Reader(
                decoder,
                self._prompt,
                cache,
                window_tokens=self._window_tokens,
                pass_rows=PASS_ROWS,
            )

        recalls: defaultdict[str, list[float]] = defaultdict(list)
        for one in calibrate(reader, stretches).rankings:
            recalls[one.set].append(recall(order_of(one.model), one.gold, PLACES))
        return Result(dict(recalls))


def prepare(sets: Sets, stretches: int, tokens: int, prompt: Prompt, seed: int) -> list[Stretch]:
    """About `stretches` of at most `tokens`, sets in turn."""
    rng = Random(f"{seed}/exam")  # noqa: S311  repeatable, not secret

    def length(text: str) -> int:
        return sum(map(len, prompt.chunk(99, text)))

    kept = {name: [remembered(one, rng) for one in dialogues] for name, dialogues in sets.items()}
    drawn = Sampler(kept, length, rng).stretches(stretches, tokens)
    return [
        replace(
            one,
            questions=tuple(rng.sample(one.questions, min(MOST_QUESTIONS, len(one.questions)))),
            foreign=(),
        )
        for one in drawn
    ]


def interval(result: Result, seed: int) -> Interval:
    """Of the mean; questions are resampled within their sets."""
    rng = Random(f"{seed}/bootstrap")  # noqa: S311  repeatable, not secret
    drawn = sorted(
        Result({name: rng.choices(each, k=len(each)) for name, each in result.recalls.items()}).mean
        for _ in range(RESAMPLES)
    )
    return Interval(result.mean, drawn[RESAMPLES // 40], drawn[-RESAMPLES // 40])


def gain(before: Result, after: Result, seed: int) -> Interval:
    """Of the same questions, paired."""
    differences = {
        name: [b - a for a, b in zip(recalls, after.recalls[name], strict=True)]
        for name, recalls in before.recalls.items()
    }
    return interval(Result(differences), seed)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
