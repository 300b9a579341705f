"""What a pass of the model does for one window: read some of it, or ask about it.

A run owns a range of the pass's rows. The decoder hands it queries, keys and values of all rows; it
keeps its own in its window and attends over that window alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from retriever.reading.attention import append, ask, attention_paid, visible_tokens
from retriever.reading.window import Window


class Reading:
    """The next unread tokens of a window. After the pass the window has read them."""

    def __init__(self, window: Window, tokens: int) -> None:
        self.window = window
        self.ids = window.ids[window.length : window.length + tokens]
        self.positions = range(window.length, window.length + len(self.ids))
        self.rows = slice(0)
        self._end = window.length + len(self.ids)

    def begin(self, first_row: int) -> None:
        self.rows = slice(first_row, first_row + len(self.ids))
        self.window.reserve(self.window.tokens)  # for all that is unread: it moves once

    def write(self, layer: int, k: Tensor, v: Tensor | None) -> None:
        """k, v (rows, kv heads, d) of all rows of the pass."""
        place = slice(self.positions.start, self._end)
        self.window.keys[layer][:, place] = k[self.rows].transpose(0, 1)
        if v is not None:
            self.window.values[layer][:, place] = v[self.rows].transpose(0, 1)

    def attend(self, layer: int, q: Tensor) -> Tensor:
        """(rows of the run, heads, d)."""
        keys, values = self.window.keys[layer], self.window.values[layer]
        return append(q[self.rows], keys[:, : self._end], values[:, : self._end])

    def finish(self) -> None:
        self.window.mark_read(len(self.ids))


class Question:
    """A stem and tails about a window that has been read, or about its first `tokens`. All tails
    follow the stem, none sees another. With `stem_kept` the stem's rows are there from an earlier
    question, about the whole window.

    Rows stand at the positions behind what is asked about and lie in the room behind the window.
    `paid` (groups, tokens) is what each group of rows, the stem unless kept and then the tails, has
    paid to the tokens asked about, summed over the selected heads.
    """

    def __init__(
        self,
        window: Window,
        stem: Sequence[int],
        tails: Sequence[Sequence[int]],
        stem_kept: bool,
        tokens: int | None = None,
    ) -> None:
        self.window = window
        self.tokens = window.length if tokens is None else tokens
        asked = [] if stem_kept else [stem]
        self.groups = [len(rows) for rows in (*asked, *tails)]
        self.ids = [id for rows in (*asked, *tails) for id in rows]
        after = self.tokens + len(stem)
        self.positions = [] if stem_kept else list(range(self.tokens, after))
        self.positions += [after + i for tail in tails for i in range(len(tail))]
        self.rows = slice(0)
        self.paid = torch.zeros(len(self.groups), self.tokens)
        stands = stem_kept or window.baseline is not None  # a stem that is needed again
        self._start = window.length + (len(stem) if stands else 0)
        self._end = self._start + len(self.ids)
        self._stem, self._tails, self._kept = len(stem), [len(tail) for tail in tails], stem_kept
        self._visible = torch.empty(0)

    @property
    def room(self) -> int:
        """Tokens that the window needs room for, the rows behind it among them."""
        return self._end

    def begin(self, first_row: int) -> None:
        self.rows = slice(first_row, first_row + len(self.ids))
        self.window.reserve(self._end)
        device = str(self.window.keys[0].device)
        hidden = 0 if self._kept else self._start - self.tokens
        seen = visible_tokens(self.tokens, self._stem, self._tails, device, hidden)
        self._visible = seen[self._stem :] if self._kept else seen  # (rows, tokens)
        self.paid = self.paid.to(device)

    def write(self, layer: int, k: Tensor, v: Tensor | None) -> None:
        place = slice(self._start, self._end)
        self.window.keys[layer][:, place] = k[self.rows].transpose(0, 1)
        if v is not None:
            self.window.values[layer][:, place] = v[self.rows].transpose(0, 1)

    def attend(self, layer: int, q: Tensor) -> Tensor:
        keys, values = self.window.keys[layer], self.window.values[layer]
        return ask(q[self.rows], keys[:, : self._end], values[:, : self._end], self._visible)

    def pay(self, layer: int, q: Tensor, heads: Sequence[int]) -> None:
        """Add what the rows pay in this layer; q (rows of the run, heads, d)."""
        if not heads:
            return
        shared = q.shape[1] // self.window.keys[layer].shape[0]  # query heads of one key head
        keys = self.window.keys[layer][[head // shared for head in heads], : self._end]
        paid = attention_paid(q[:, list(heads)], keys, self._visible, self.groups)
        self.paid += paid[:, : self.tokens]

    def finish(self) -> None:
        """Nothing: what was written lies in the room behind the window."""


Run = Reading | Question
