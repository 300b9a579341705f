"""One window of somebody's memory as the model has read it: keys and values, layer by layer.

A window grows at its end only. Behind what is read there is room for the rows of a question, which
the next ones overwrite. Its keys at the deepest layer serve the scores; values there serve nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GROWTH_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """Of what is kept for each token: `layers` counts those whose values are kept."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: torch.dtype
    device: str

    @property
    def bytes_per_token(self) -> int:
        return (2 * self.layers + 1) * self.kv_heads * self.head_dim * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Baseline:
    """What every question needs of a window, until it grows: the stem's part and the null query's.

    `stem` (tokens,) is what the stem's rows pay in all, `null` (tokens,) what those of the null
    query's tail do; both summed over the selected heads. While it stands, the stem's keys and
    values lie right behind what has been read.
    """

    stem: Tensor
    null: Tensor


class Window:
    """Chunks laid out one after another, read from the front.

    `chain` has a digest for each chunk, which covers all before it; `pieces` how many pieces each
    chunk has; `ends` where pieces end, from the opening's end on. `length` tokens have been read,
    `unread` are the ids of the others. A window that grows loses its baseline.
    """

    def __init__(self, shape: Shape, opening: Sequence[int]) -> None:
        self._shape = shape
        self._capacity = 0
        self.length = 0
        self.unread = list(opening)
        self.chain: list[bytes] = []
        self.pieces: list[int] = []
        self.ends = [len(opening)]
        self.baseline: Baseline | None = None
        blank = torch.empty(
            shape.kv_heads, 0, shape.head_dim, dtype=shape.dtype, device=shape.device
        )
        self.keys = [blank] * (shape.layers + 1)
        self.values = [blank] * shape.layers

    @property
    def bytes_taken(self) -> int:
        """Of the tensors; a baseline weighs a thousandth of them."""
        return self._capacity * self._shape.bytes_per_token

    def bytes_with(self, rows: int) -> int:
        """Once all is read and `rows` of a question stand behind it."""
        return _rounded(self.tokens + rows) * self._shape.bytes_per_token

    @property
    def tokens(self) -> int:
        """In all, read or not."""
        return self.ends[-1]

    def lay_out(self, digest: bytes, pieces: Sequence[Sequence[int]]) -> None:
        """Put a chunk behind the others, to be read."""
        self.chain.append(digest)
        self.pieces.append(len(pieces))
        self.baseline = None
        for piece in pieces:
            self.ends.append(self.ends[-1] + len(piece))
            self.unread.extend(piece)

    def ends_after(self, chunks: int) -> list[int]:
        """Where the pieces of the first `chunks` end, from the opening's end on."""
        return self.ends[: sum(self.pieces[:chunks]) + 1]

    def mark_read(self, tokens: int) -> None:
        self.length += tokens
        del self.unread[:tokens]

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` in all; what has been read moves when it has to."""
        if tokens <= self._capacity:
            return
        self._capacity = _rounded(tokens)
        for kept in (self.keys, self.values):
            for layer, one in enumerate(kept):  # one by one: never are there two of all
                kept[layer] = self._moved(one)

    def branch(self, chunks: int) -> "Window":
        """A window of its own that begins with the first `chunks` of this one, all of them."""
        branch = Window(self._shape, ())
        branch.chain, branch.pieces = self.chain[:chunks], self.pieces[:chunks]
        branch.ends = self.ends_after(chunks)
        branch.length = min(self.length, branch.tokens)
        branch.unread = self.unread[: branch.tokens - branch.length]
        if branch.length:
            branch.keys, branch.values = list(self.keys), list(self.values)
            branch.reserve(branch.length)
        return branch

    def _moved(self, kept: Tensor) -> Tensor:
        """The rows behind what has been read come along: they may be a stem's."""
        moved = kept.new_empty(kept.shape[0], self._capacity, kept.shape[2])
        both = min(self._capacity, kept.shape[1])
        moved[:, :both] = kept[:, :both]
        return moved


def _rounded(tokens: int) -> int:
    return -(-tokens // GROWTH_TOKENS) * GROWTH_TOKENS
