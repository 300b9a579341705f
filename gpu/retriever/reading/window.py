"""One window of somebody's memory as the model has read it: keys and values, layer by layer.

A window grows and is cut at its end only. Behind what is read there is room for the rows of a
question, which the next ones overwrite. Its keys at the deepest layer serve the scores; values
there serve nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import ref

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

    def bytes_of(self, tokens: int) -> int:
        """Of a window with room for them."""
        return _rounded(tokens) * self.bytes_per_token


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
    chunk has; `ends` where pieces end, from the opening's end on. `ids` are all tokens, of which
    `length` have been read. A window that grows loses its baseline.
    """

    def __init__(self, shape: Shape, opening: Sequence[int]) -> None:
        self._shape = shape
        self._origin: ref[Window] | None = None
        self.ids = list(opening)
        self.chain: list[bytes] = []
        self.pieces: list[int] = []
        self.ends = [len(opening)]
        self.baseline: Baseline | None
        self.length: int
        self._capacity: int
        self.keys: list[Tensor]
        self.values: list[Tensor]
        self.release()

    @property
    def bytes_taken(self) -> int:
        """Of the tensors; a baseline weighs a thousandth of them."""
        return self._capacity * self._shape.bytes_per_token

    def bytes_with(self, rows: int) -> int:
        """Once all is read and `rows` of a question stand behind it."""
        return max(self.bytes_taken, self._shape.bytes_of(self.tokens + rows))

    @property
    def tokens(self) -> int:
        """In all, read or not."""
        return self.ends[-1]

    @property
    def unread(self) -> list[int]:
        return self.ids[self.length :]

    @property
    def origin(self) -> "Window | None":
        """What this one begins like and has yet to take from; None, too, when that is gone."""
        return self._origin() if self._origin is not None else None

    @property
    def found(self) -> int:
        """Tokens that nobody has to read any more: read here, or in the origin."""
        origin = self.origin
        return self.length if origin is None else max(self.length, self._shared_with(origin))

    def lay_out(self, digest: bytes, pieces: Sequence[Sequence[int]]) -> None:
        """Put a chunk behind the others, to be read."""
        self.chain.append(digest)
        self.pieces.append(len(pieces))
        self.baseline = None
        for piece in pieces:
            self.ends.append(self.ends[-1] + len(piece))
            self.ids.extend(piece)

    def cut(self, chunks: int) -> None:
        """Keep the first `chunks` alone. What has been read of them stays where it is."""
        if chunks < len(self.chain):
            self.ends = self.ends_after(chunks)
            self.chain, self.pieces = self.chain[:chunks], self.pieces[:chunks]
            del self.ids[self.tokens :]
            self.length = min(self.length, self.tokens)
            self.baseline = None

    def ends_after(self, chunks: int) -> list[int]:
        """Where the pieces of the first `chunks` end, from the opening's end on."""
        return self.ends[: sum(self.pieces[:chunks]) + 1]

    def is_mostly(self, chunks: int) -> bool:
        """Whether its first `chunks` are at least half of all its text."""
        opening = self.ends[0]
        return 2 * (self.ends_after(chunks)[-1] - opening) >= self.tokens - opening

    def mark_read(self, tokens: int) -> None:
        self.length += tokens

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` in all; what has been read moves when it has to."""
        if tokens <= self._capacity:
            return
        capacity = _rounded(tokens)
        for kept in (self.keys, self.values):
            for layer, one in enumerate(kept):  # one by one: never are there two of all
                kept[layer] = _moved(one, capacity)
        self._capacity = capacity

    def release(self) -> None:
        """Give the room back. Who has a use for the window yet reads it again."""
        shape = self._shape
        blank = torch.empty(
            shape.kv_heads, 0, shape.head_dim, dtype=shape.dtype, device=shape.device
        )
        self.keys = [blank] * (shape.layers + 1)
        self.values = [blank] * shape.layers
        self._capacity = self.length = 0
        self.baseline = None

    def branch(self, chunks: int) -> "Window":
        """A window of its own that begins with the first `chunks` of this one. It takes no room,
        and has read nothing, before it is told to `take_over`."""
        branch = Window(self._shape, ())
        branch.chain, branch.pieces = self.chain[:chunks], self.pieces[:chunks]
        branch.ends = self.ends_after(chunks)
        branch.ids = self.ids[: branch.tokens]
        branch._origin = ref(self)
        return branch

    def take_over(self) -> None:
        """Copy what the origin has read of this one's beginning, when it is still there, into room
        for all of this one."""
        origin, self._origin = self.origin, None
        shared = self._shared_with(origin) if origin is not None else 0
        if origin is None or shared <= self.length:
            return
        self.reserve(self.tokens)
        theirs = (*origin.keys, *origin.values)
        for mine, kept in zip((*self.keys, *self.values), theirs, strict=True):
            mine[:, :shared] = kept[:, :shared]
        self.length = shared

    def _shared_with(self, origin: "Window") -> int:
        """How many tokens both begin with that the origin has read; it may have changed since."""
        pairs = zip(self.ids, origin.ids[: origin.length], strict=False)
        return next(
            (i for i, (a, b) in enumerate(pairs) if a != b), min(len(self.ids), origin.length)
        )


def _moved(kept: Tensor, capacity: int) -> Tensor:
    """The rows behind what has been read come along: they may be a stem's."""
    moved = kept.new_empty(kept.shape[0], capacity, kept.shape[2])
    both = min(capacity, kept.shape[1])
    moved[:, :both] = kept[:, :both]
    return moved


def _rounded(tokens: int) -> int:
    return -(-tokens // GROWTH_TOKENS) * GROWTH_TOKENS
