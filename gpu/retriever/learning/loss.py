"""What training lowers: evidence is to score above every other chunk, and above the frame. Pure.

Listwise contrastive (InfoNCE, https://arxiv.org/abs/1807.03748) with several positives: each chunk
of evidence stands against all that is none. The frame stands for everything in the prompt that is
no chunk. It has a fixed score: evidence must pass it, and nothing may when nothing answers. So
scores keep one meaning in every window, and those of different windows compare.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Contrast:
    """In shares of attention of a mean head: `temperature` is what makes a chunk e times as
    likely, `frame` what the frame scores."""

    heads: int
    temperature: float
    frame: float

    def loss(self, scores: Tensor, gold: Collection[int], ignored: Collection[int]) -> Tensor:
        """Of one question. `scores` (chunks,) are summed over heads; `gold` is empty when nothing
        here answers, and `ignored` are chunks that are neither right nor wrong."""
        shares = scores / self.heads
        frame = shares.new_full((1,), self.frame)
        right = sorted(gold)
        aside = {*right, *ignored}
        wrong = [i for i in range(len(shares)) if i not in aside]
        against = torch.cat((shares[wrong], frame)) / self.temperature
        positives = shares[right] / self.temperature if right else against[-1:]
        if right:
            each = torch.logaddexp(positives, torch.logsumexp(against, dim=0))
            return (each - positives).mean()
        return torch.logsumexp(against, dim=0) - positives[0]
