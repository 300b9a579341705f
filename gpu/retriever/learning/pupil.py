"""The decoder's pass once more, with gradients: how a window's chunks score for several questions.

The arithmetic is the retriever's own: window, stem and tails lie one after another, each layer's
keys and values stay tensors instead of being written down. A test holds the scores to the reader's.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from retriever.profile import Head
from retriever.reading.attention import append, ask, attention_paid, rotated, visible_tokens
from retriever.reading.prompt import Ids, Prompt
from retriever.reading.scoring import piece_scores


class Pupil:
    """`model` is a base decoder, with an adapter's layers in it or without."""

    def __init__(self, model: Any, heads: Sequence[Head], prompt: Prompt) -> None:
        self._model = model
        self._prompt = prompt
        self.deepest = max(head.layer for head in heads)
        self._selected = {
            layer: sorted(head.head for head in set(heads) if head.layer == layer)
            for layer in range(self.deepest + 1)
        }
        self.head_dim: int = model.layers[0].self_attn.head_dim

    def attend_to_lessons(self) -> None:
        """With the adapter's dropout; making a `Decoder` of the model ends it."""
        self._model.train()

    def scores(self, texts: Sequence[str], questions: Sequence[str]) -> Tensor:
        """(questions, texts), each text one chunk, as `Reader` scores them in one window."""
        chunks = [self._prompt.chunk(number, text) for number, text in enumerate(texts, start=1)]
        prefix = [*self._prompt.opening, *(id for chunk in chunks for ids in chunk for id in ids)]
        sizes = [len(ids) for chunk in chunks for ids in chunk]
        ends = list(accumulate(sizes, initial=len(self._prompt.opening)))
        tails = [self._prompt.tail(question) for question in questions]
        calibrated = self._calibrated(prefix, tails)  # (questions, window tokens)
        counts = [len(chunk) for chunk in chunks]
        return torch.stack([_chunk_scores(tokens, ends, counts) for tokens in calibrated])

    def _calibrated(self, prefix: Ids, tails: Sequence[Ids]) -> Tensor:
        null = self._prompt.null_tail
        paid = self._paid(prefix, [null, *tails]).double().cpu()
        stem, of_null, of_tails = paid[0], paid[1], paid[2:]
        rows = torch.tensor([[len(tail)] for tail in tails]) + len(self._prompt.stem)
        baseline = (stem + of_null) / (len(self._prompt.stem) + len(null))
        return (stem + of_tails) / rows - baseline

    def _paid(self, prefix: Ids, tails: Sequence[Ids]) -> Tensor:
        """What stem and tails pay to the window, (1 + tails, window tokens), over all heads."""
        stem, window = self._prompt.stem, len(prefix)
        groups = [len(stem), *map(len, tails)]
        x = self._model.embed_tokens(self._tensor([*prefix, *stem, *(i for t in tails for i in t)]))
        after = window + len(stem)
        positions = [*range(after), *(after + i for tail in tails for i in range(len(tail)))]
        turns = self._model.rotary_emb(x, self._tensor(positions)[None])
        turn = turns[0][0], turns[1][0]  # cos and sin, (rows, d)
        seen = visible_tokens(window, len(stem), groups[1:], str(x.device))
        paid = x.new_zeros(len(groups), window, dtype=torch.float32)
        for number in range(self.deepest):
            layer = self._model.layers[number]
            q, k, v = self._projected(layer, x, turn)
            paid = paid + self._paid_here(number, q[window:], k, seen, groups)
            x = _after_attention(layer, x, _attended(q, k, v, window, seen))
        q, k = self._queries_and_keys(self._model.layers[self.deepest], x, turn, window)
        whole: Tensor = paid + self._paid_here(self.deepest, q, k, seen, groups)
        return whole

    def _paid_here(
        self, number: int, q: Tensor, k: Tensor, seen: Tensor, groups: Sequence[int]
    ) -> Tensor | float:
        """q (rows of stem and tails, heads, d), k (all rows, kv heads, d)."""
        heads = self._selected[number]
        if not heads:
            return 0.0
        shared = q.shape[1] // k.shape[1]
        keys = k.transpose(0, 1)[[head // shared for head in heads]]
        paid = attention_paid(q[:, heads], keys, seen, groups)
        return paid[:, : k.shape[0] - sum(groups)]

    def _projected(
        self, layer: Any, x: Tensor, turn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        normed = layer.input_layernorm(x)
        q, k = (rotated(self._heads(layer, kind, normed), *turn) for kind in "qk")
        return q, k, self._heads(layer, "v", normed)

    def _queries_and_keys(
        self, layer: Any, x: Tensor, turn: tuple[Tensor, Tensor], window: int
    ) -> tuple[Tensor, Tensor]:
        """At the deepest layer: keys of all rows, queries of stem and tails."""
        normed = layer.input_layernorm(x)
        cos, sin = turn
        q = rotated(self._heads(layer, "q", normed[window:]), cos[window:], sin[window:])
        return q, rotated(self._heads(layer, "k", normed), cos, sin)

    def _heads(self, layer: Any, kind: str, normed: Tensor) -> Tensor:
        """(rows, heads, d), with the norm that Qwen3 puts on queries and keys."""
        projected = getattr(layer.self_attn, f"{kind}_proj")(normed)
        heads: Tensor = projected.unflatten(-1, (-1, self.head_dim))
        norm: nn.Module | None = getattr(layer.self_attn, f"{kind}_norm", None)
        return heads if norm is None else norm(heads)

    def _tensor(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=self._model.embed_tokens.weight.device)


def _attended(q: Tensor, k: Tensor, v: Tensor, window: int, seen: Tensor) -> Tensor:
    keys, values = k.transpose(0, 1), v.transpose(0, 1)  # (kv heads, rows, d)
    read = append(q[:window], keys[:, :window], values[:, :window])
    return torch.cat((read, ask(q[window:], keys, values, seen)))


def _after_attention(layer: Any, x: Tensor, attended: Tensor) -> Tensor:
    x = x + layer.self_attn.o_proj(attended.flatten(1))
    rest: Tensor = layer.mlp(layer.post_attention_layernorm(x))
    return x + rest


def _chunk_scores(tokens: Tensor, ends: Sequence[int], counts: Sequence[int]) -> Tensor:
    """A chunk scores as its best piece."""
    pieces = piece_scores(tokens, ends)
    return torch.stack([part.max() for part in torch.split(pieces, list(counts))])
