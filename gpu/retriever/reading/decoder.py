"""The part of a decoder that scores: layers up to the deepest selected head, rows side by side.

Weights and arithmetic of the layers are those of transformers' Llama, Mistral, Qwen2 and Qwen3
modules; which rows run, and what they attend to, is decided here. One pass takes rows of many
windows at once: everything but attention works on all of them together.

At the deepest selected layer only keys are computed, and queries of the rows that score: what its
attention gives, and every layer above, changes no score.
"""

from collections import defaultdict
from collections.abc import Sequence
from math import isclose
from typing import Any

import torch
from torch import Tensor, nn

from retriever.profile import Head
from retriever.reading.attention import rotated
from retriever.reading.runs import Question, Run
from retriever.reading.window import Shape, Window


class Decoder:
    def __init__(self, model: Any, heads: Sequence[Head]) -> None:
        """`model` is a base model of transformers (`LlamaModel` and its like).

        Raises ValueError for a head that it does not have, and for arithmetic that is not this.
        """
        self._model = model.eval()
        self._selected = _by_layer(heads, model)
        _refuse_other_arithmetic(model, max(self._selected))
        weight = model.embed_tokens.weight
        self.shape = Shape(
            layers=max(self._selected),
            kv_heads=model.config.num_key_value_heads,
            head_dim=model.layers[0].self_attn.head_dim,
            dtype=weight.dtype,
            device=str(weight.device),
        )
        self._device = weight.device

    def window(self, opening: Sequence[int]) -> Window:
        return Window(self.shape, opening)

    @torch.inference_mode()
    def run(self, runs: Sequence[Run]) -> None:
        """One pass over the rows of all runs: windows of readings grow, questions get their
        `paid`. At most one run of a window."""
        ids, positions = self._laid_side_by_side(runs)
        x = self._model.embed_tokens(ids)  # (rows, hidden)
        cos, sin = (turn[0] for turn in self._model.rotary_emb(x, positions[None]))  # (rows, d)
        for number in range(self.shape.layers):
            x = self._layer(number, x, cos, sin, runs)
        self._deepest(x, cos, sin, runs)
        for run in runs:
            run.finish()
        if self._device.type == "cuda":  # what fails, and how long it takes, is of this pass
            torch.cuda.synchronize(self._device)

    def _laid_side_by_side(self, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
        first_row = 0
        for run in runs:
            run.begin(first_row)
            first_row = run.rows.stop
        ids = [id for run in runs for id in run.ids]
        positions = [position for run in runs for position in run.positions]
        device = self.shape.device
        return torch.tensor(ids, device=device), torch.tensor(positions, device=device)

    def _layer(
        self, number: int, x: Tensor, cos: Tensor, sin: Tensor, runs: Sequence[Run]
    ) -> Tensor:
        layer = self._model.layers[number]
        normed = layer.input_layernorm(x)
        q = rotated(self._heads(layer, "q", normed), cos, sin)
        k = rotated(self._heads(layer, "k", normed), cos, sin)
        v = self._heads(layer, "v", normed)
        out = torch.empty_like(q)
        for run in runs:
            run.write(number, k, v)
            out[run.rows] = run.attend(number, q)
            if isinstance(run, Question):
                run.pay(number, q[run.rows], self._selected.get(number, ()))
        x = x + layer.self_attn.o_proj(out.flatten(1))
        fed: Tensor = layer.mlp(layer.post_attention_layernorm(x))
        return x + fed

    def _deepest(self, x: Tensor, cos: Tensor, sin: Tensor, runs: Sequence[Run]) -> None:
        number = self.shape.layers
        layer = self._model.layers[number]
        normed = layer.input_layernorm(x)
        k = rotated(self._heads(layer, "k", normed), cos, sin)
        for run in runs:
            run.write(number, k, None)
            if isinstance(run, Question):
                own = run.rows
                q = rotated(self._heads(layer, "q", normed[own]), cos[own], sin[own])
                run.pay(number, q, self._selected[number])

    def _heads(self, layer: Any, kind: str, normed: Tensor) -> Tensor:
        """(rows, hidden) to (rows, heads, d), with the norm that Qwen3 puts on queries and keys."""
        projection: nn.Module = getattr(layer.self_attn, f"{kind}_proj")
        heads: Tensor = projection(normed).unflatten(-1, (-1, self.shape.head_dim))
        norm: nn.Module | None = getattr(layer.self_attn, f"{kind}_norm", None)
        return heads if norm is None else norm(heads)


def _refuse_other_arithmetic(model: Any, deepest: int) -> None:
    """Raises ValueError: positions turn a part of a head alone, or logits are scaled otherwise."""
    for number in range(deepest + 1):
        attention = model.layers[number].self_attn
        width = attention.head_dim
        turned = 2 * model.rotary_emb.inv_freq.shape[-1]
        if turned != width:
            raise ValueError(f"positions turn {turned} of the {width} dimensions of a head")
        if not isclose(attention.scaling, width**-0.5):
            raise ValueError(f"layer {number} scales its logits by {attention.scaling}")


def _by_layer(heads: Sequence[Head], model: Any) -> dict[int, list[int]]:
    layers, each = len(model.layers), model.config.num_attention_heads
    found: defaultdict[int, list[int]] = defaultdict(list)
    for layer, head in sorted(set(heads)):
        if not (0 <= layer < layers and 0 <= head < each):
            raise ValueError(f"no head {layer}-{head}: {layers} layers of {each} heads are there")
        found[layer].append(head)
    if not found:
        raise ValueError("no head is selected")
    return dict(found)
