"""What a course of training is: every number that decides what comes out of it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WARMUP = 0.05  # of the steps
LEAST_RATE = 0.1  # of the learning rate, at the end


@dataclass(frozen=True)
class Plan:
    """`temperature` and `frame` are shares of attention of a mean head (see `loss.Contrast`);
    `window` is in tokens, `lives` a number of made-up ones."""

    model: str
    revision: str | None
    profile: str  # its digest: heads and prompt
    data: Mapping[str, str]  # the sets by name, with the SHA-256 of their files
    shares: Mapping[str, float]
    lives: int
    seed: int
    steps: int
    batch: int
    questions: int
    window: int
    rate: float
    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    temperature: float
    frame: float
    exam_every: int
    exam_stretches: int
    exam_windows: int
    patience: int
    dtype: str

    def written(self) -> dict[str, Any]:
        """As JSON gives it back."""
        return {**dataclasses.asdict(self), "targets": list(self.targets)}

    def rate_at(self, step: int) -> float:
        """A cosine after a warm-up, https://arxiv.org/abs/1608.03983; `step` counts from 0."""
        warm = max(1, round(WARMUP * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, self.steps - warm))
        cosine = (1 + math.cos(math.pi * done)) / 2
        return self.rate * (LEAST_RATE + (1 - LEAST_RATE) * cosine)
