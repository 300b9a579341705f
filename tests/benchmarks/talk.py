"""Made-up speech for the benchmarks: a few common words and many rare ones, as people's is."""

import itertools
from collections.abc import Sequence
from random import Random

SYLLABLES = ("ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ra", "si", "tun")

Message = dict[str, str]


class Talk:
    def __init__(self, randomness: Random) -> None:
        self._randomness = randomness
        self._words = [self._word() for _ in range(4000)]
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, 4001)))

    def history(self, turns: int) -> list[Message]:
        return [
            {"role": role, "content": self.sentence(words)}
            for _ in range(turns)
            for role, words in (("user", 25), ("assistant", 60))
        ]

    def question(self, history: Sequence[Message]) -> str:
        """Some rare words of one earlier message, so that there is something to remember."""
        words = self._randomness.choice(history)["content"].split()
        return f"{self.sentence(5)} {' '.join(self._randomness.sample(words, 6))}"

    def sentence(self, words: int) -> str:
        found = self._randomness.choices(self._words, cum_weights=self._weights, k=words)
        return " ".join(found)

    def _word(self) -> str:
        return "".join(self._randomness.choices(SYLLABLES, k=3))
