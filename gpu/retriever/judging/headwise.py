"""Every head's scores of a window, each by itself: what heads are chosen by.

The arithmetic is the retriever's own, asked once a head instead of once for all selected ones. One
window, asked once, all layers: slow, and never on the way of an answer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from retriever.profile import Head
from retriever.reading.attention import attention_paid
from retriever.reading.decoder import Decoder
from retriever.reading.prompt import Prompt
from retriever.reading.runs import Question, Reading
from retriever.reading.scoring import piece_scores


class HeadwiseQuestion(Question):
    """`each` holds what every group of rows pays to the window's tokens, (groups, tokens), for one
    head after the other, layer by layer."""

    each: list[Tensor]

    def begin(self, first_row: int) -> None:
        super().begin(first_row)
        self.each = []

    def pay(self, layer: int, q: Tensor, heads: Sequence[int]) -> None:
        shared = q.shape[1] // self.window.keys[layer].shape[0]  # query heads of one key head
        for head in heads:
            keys = self.window.keys[layer][[head // shared], : self._end]
            paid = attention_paid(q[:, [head]], keys, self._visible, self.groups)
            self.each.append(paid[:, : self.window.length])


def all_heads(layers: int, heads: int) -> list[Head]:
    return [Head(layer, head) for layer in range(layers) for head in range(heads)]


def head_scores(
    decoder: Decoder, prompt: Prompt, texts: Sequence[str], query: str, pass_rows: int
) -> Tensor:
    """Calibrated scores of `texts`, each of which is one chunk, by each of the decoder's heads:
    (heads, texts)."""
    window = decoder.window(prompt.opening)
    for number, text in enumerate(texts, start=1):
        window.lay_out(b"", prompt.chunk(number, text)[:1])
    while window.unread:
        decoder.run([Reading(window, pass_rows)])
    tail = prompt.tail(query)
    asked = HeadwiseQuestion(window, prompt.stem, [prompt.null_tail, tail], stem_kept=False)
    decoder.run([asked])
    rows = len(prompt.stem) + len(tail), len(prompt.stem) + len(prompt.null_tail)
    paid = torch.stack(asked.each).cpu().double()  # (heads, groups, tokens)
    stem, null, own = paid.unbind(dim=1)
    calibrated = (stem + own) / rows[0] - (stem + null) / rows[1]  # (heads, tokens)
    return torch.stack([piece_scores(tokens, window.ends) for tokens in calibrated])
