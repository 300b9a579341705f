"""From attention to chunk scores. Pure; all in 64-bit floats on the CPU, where it takes no time.

QRHead (https://arxiv.org/abs/2506.09944): what the scored rows of a query pay to each token, minus
what those of the null query pay, summed over the selected heads; within a piece of text the tokens
far below the others are dropped; the rest is summed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

OUTLIER_DEVIATIONS = 2.0


def piece_scores(tokens: Tensor, ends: Sequence[int]) -> Tensor:
    """Scores of consecutive pieces, (pieces,). `tokens` (tokens,) are calibrated token scores, and
    piece i goes from `ends[i]` to `ends[i + 1]`, so that `ends[0]` is where the first begins.

    A token at or below its piece's mean minus two standard deviations (unbiased) is dropped; a
    piece of one token, or without spread, keeps all.
    """
    bounds = torch.as_tensor(ends, dtype=torch.long)
    counts = bounds.diff()  # (pieces,)
    piece = torch.repeat_interleave(torch.arange(len(counts)), counts)  # (tokens in pieces,)
    values = tokens[int(bounds[0]) : int(bounds[-1])].double()
    means = _sums(values, piece, len(counts)) / counts
    spread = _sums((values - means[piece]) ** 2, piece, len(counts)) / (counts - 1).clamp(min=1)
    least = means - OUTLIER_DEVIATIONS * spread.sqrt()
    kept = (values > least[piece]) | (spread[piece] == 0)
    return _sums(values * kept, piece, len(counts))


def best_of_each(pieces: Tensor, counts: Sequence[int]) -> list[float]:
    """A chunk scores as its best piece; `counts` says how many pieces each chunk has."""
    return [float(part.max()) for part in torch.split(pieces, list(counts))]


def _sums(values: Tensor, piece: Tensor, pieces: int) -> Tensor:
    return torch.zeros(pieces, dtype=torch.double).index_add_(0, piece, values)
