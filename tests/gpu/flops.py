"""What the retriever's work costs: counted while it runs, and in closed form for any model's shape.

    python tests/gpu/flops.py

prints the closed form for the shape of Llama-3.1-8B. A multiply and an add are two FLOPs. Counted
are products of matrices, attention only over the pairs of tokens that see each other; norms,
softmax and activations are not, as in torch. Neither side has a language model head: the published
code leaves it out too (`compute_logits=False`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.attention.bias import CausalBias
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def count(work: Callable[[], object]) -> int:
    """FLOPs of `work`, which must run on this thread: the counter sees no other.

    On the CPU, where scaled-dot-product attention is one operator for every kind of mask. Attention
    written as products (eager, or what torch falls back to) is counted as these: all pairs.
    """
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={on_cpu: _VisiblePairs()})
    with counter, _causal_biases_can_be_made():
        work()
    total: int = counter.get_total_flops()
    return total


class _VisiblePairs:
    """FLOPs of CPU attention, for which torch's counter has no formula and reports 0.

    For each visible pair and query head: a product of d for the logit, one of d for the value. With
    grouped heads the query's heads count, since keys are shared and the work is not.
    """

    _get_raw = True  # how torch's counter knows a formula that wants tensors instead of shapes

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        attn_mask: Tensor | None = None,
        **_: object,
    ) -> int:
        batch, heads, rows, dim = query.shape
        if attn_mask is not None:  # a bool one has been made into 0 and -inf by now
            shape = (batch, heads, rows, key.shape[2])
            seen = attn_mask > torch.finfo(attn_mask.dtype).min
            return 4 * dim * int(seen.expand(shape).sum())
        return 4 * dim * batch * heads * _pairs(rows, key.shape[2], is_causal)


def _pairs(rows: int, tokens: int, is_causal: bool) -> int:
    """`is_causal` aligns at the upper left: row i sees tokens 0 to i."""
    if not is_causal:
        return rows * tokens
    return sum(min(row + 1, tokens) for row in range(rows))


def causal(new: int, behind: int = 0) -> int:
    """Visible pairs of `new` tokens that follow `behind` others."""
    return new * behind + new * (new + 1) // 2


def largest_tensor(work: Callable[[], object]) -> int:
    """Elements of the largest tensor that an operator makes while `work` runs on this thread.

    Views and writes into what was there before make nothing. What a kernel keeps to itself is not
    seen: scaled-dot-product attention must be trusted to hold no map, or measured.
    """
    made = _Allocations()  # type: ignore[no-untyped-call]  # torch's own is untyped
    with made, _causal_biases_can_be_made():
        work()
    return made.largest


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's metaclass hook
    largest = 0

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        with self:  # in inference mode operators made of others arrive whole
            made = func.decompose(*args, **kwargs)
        if made is not NotImplemented:
            return made
        made = func(*args, **kwargs)
        before = {_storage(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(made):
            if isinstance(one, Tensor) and _storage(one) not in before:
                self.largest = max(self.largest, one.untyped_storage().nbytes() // one.itemsize)
        return made


@contextmanager
def _causal_biases_can_be_made() -> Iterator[None]:
    """Under a dispatch mode torch 2.13 cannot make its own `CausalBias`: a tensor that is observed
    is a Python object already, and no subclass can be made of it. So this one is not observed."""

    def unobserved(kind: type[CausalBias], *_: object) -> Tensor:
        with _disable_current_modes():
            return Tensor.__new__(kind)

    with patch.object(CausalBias, "__new__", staticmethod(unobserved)):
        yield


def _storage(tensor: Tensor) -> int:
    """Two tensors have it in common if one is a view of the other."""
    return int(tensor.untyped_storage()._cdata)


@dataclass(frozen=True, slots=True)
class Suffix:
    """Tokens behind the context: the stem, then the query's tail or the null query's."""

    stem: int
    tail: int
    null_tail: int


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """FLOPs from a model's shape; `deepest_layer` counts from 0, as heads are written.

    The fast path runs the layers before `deepest_layer` in full, and of that one the keys of all
    tokens and the queries of the scored rows: no values, no output, no MLP. Beside that it computes
    selected heads' rows once more, as one product with all keys that is masked afterwards.
    """

    layers_total: int
    deepest_layer: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    selected_heads: int

    @classmethod
    def of(cls, config: Any, selected: Sequence[tuple[int, int]]) -> Self:
        """From a configuration of transformers and (layer, head) pairs."""
        heads = config.num_attention_heads
        return cls(
            layers_total=config.num_hidden_layers,
            deepest_layer=max(layer for layer, _ in selected),
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            heads=heads,
            kv_heads=config.num_key_value_heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            selected_heads=len(selected),
        )

    def reference(self, context: int, suffix: Suffix) -> int:
        """The published code: one pass over context, stem and tail, all layers; then one over stem
        and null tail with the context's keys and values kept."""
        asked = self._layers(self.layers_total, suffix.stem + suffix.tail, context)
        null = self._layers(self.layers_total, suffix.stem + suffix.null_tail, context)
        return self._layers(self.layers_total, context) + asked + null

    def cold(self, context: int, suffix: Suffix) -> int:
        """Nothing kept: the context is read, then asked."""
        return self.read(context) + self.asked(context, suffix)

    def appended(self, context: int, new: int, suffix: Suffix) -> int:
        """`new` tokens behind `context` that was read before, then asked."""
        return self.read(new, behind=context) + self.asked(context + new, suffix)

    def repeated(self, context: int, suffix: Suffix, *, stem_runs_again: bool = False) -> int:
        """Nothing is new but the query: its tail over context and stem. The sums of the stem's rows
        are kept with the null query's; are its keys and values not, then it runs once more."""
        if stem_runs_again:
            return self._asked(context, suffix.stem, [suffix.tail])
        return self._asked(context + suffix.stem, 0, [suffix.tail])

    def read(self, new: int, behind: int = 0) -> int:
        """Tokens are put behind others."""
        deepest_keys = 2 * new * self.hidden * self.kv_heads * self.head_dim
        return self._layers(self.deepest_layer, new, behind) + deepest_keys

    def asked(self, context: int, suffix: Suffix) -> int:
        """A query and the null query over a context that has been read, in one pass."""
        return self._asked(context, suffix.stem, [suffix.tail, suffix.null_tail])

    def _asked(self, context: int, stem: int, tails: Sequence[int]) -> int:
        rows = stem + sum(tails)
        read = self.read(stem, context) + sum(self.read(tail, context + stem) for tail in tails)
        deepest_queries = 2 * rows * self.hidden * self.heads * self.head_dim
        maps = 2 * self.head_dim * self.selected_heads * rows * (context + rows)
        return read + deepest_queries + maps

    def _layers(self, layers: int, new: int, behind: int = 0) -> int:
        """`layers` in full for tokens that follow others."""
        queries_and_output = 2 * self.hidden * self.heads * self.head_dim
        keys_and_values = 2 * self.hidden * self.kv_heads * self.head_dim
        gated_mlp = 3 * self.hidden * self.intermediate
        weights = queries_and_output + keys_and_values + gated_mlp
        attention = 4 * self.head_dim * self.heads * causal(new, behind)
        return layers * (2 * new * weights + attention)


LLAMA_3_1_8B: Final = ClosedForm(
    layers_total=32,
    deepest_layer=17,
    hidden=4096,
    intermediate=14336,
    heads=32,
    kv_heads=8,
    head_dim=128,
    selected_heads=16,
)
SUFFIX: Final = Suffix(stem=40, tail=30, null_tail=8)
TURN_TOKENS: Final = 300
CONTEXTS: Final = (2048, 8192, 16384)


@dataclass(frozen=True, slots=True)
class Ratios:
    """How many times the work the published code does."""

    cold: float
    appended: float
    repeated: float


def ratios(form: ClosedForm, context: int, new: int, suffix: Suffix) -> Ratios:
    """For a context whose last `new` tokens are the appended turn."""
    published = form.reference(context, suffix)
    return Ratios(
        cold=published / form.cold(context, suffix),
        appended=published / form.appended(context - new, new, suffix),
        repeated=published / form.repeated(context, suffix),
    )


def table(
    form: ClosedForm = LLAMA_3_1_8B,
    contexts: Sequence[int] = CONTEXTS,
    new: int = TURN_TOKENS,
    suffix: Suffix = SUFFIX,
) -> str:
    """TFLOPs of the published code and of the fast path, each with its ratio to the former."""
    heading = f"{'tokens':>8}{'published':>11}{'cold':>18}{'+1 turn':>18}{'repeated':>18}  TFLOPs"
    return "\n".join([heading, *(_line(form, context, new, suffix) for context in contexts)])


def _line(form: ClosedForm, context: int, new: int, suffix: Suffix) -> str:
    published = form.reference(context, suffix)
    works = (
        form.cold(context, suffix),
        form.appended(context - new, new, suffix),
        form.repeated(context, suffix),
    )
    cells = (f"{work / 1e12:>9.2f} {published / work:>7.1f}x" for work in works)
    return f"{context:>8}{published / 1e12:>11.1f}" + "".join(cells)


if __name__ == "__main__":
    print(table())
