"""The counter against pairs counted by hand, and the closed form against the counter."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import CausalBias, causal_lower_right
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache, PreTrainedModel

from gpu.flops import (
    LLAMA_3_1_8B,
    SUFFIX,
    ClosedForm,
    Suffix,
    causal,
    count,
    largest_tensor,
    ratios,
    table,
)
from gpu.reference import published_scores
from support.tiny_models import FAMILIES, Family, tiny_model

BATCH, HEADS, DIM = 2, 4, 8
PAIR = 4 * DIM * HEADS * BATCH
SELECTED = [(0, 3), (2, 1), (2, 6)]
TINY = Suffix(stem=3, tail=4, null_tail=2)


def _heads(tokens: int, heads: int = HEADS) -> Tensor:
    return torch.randn(BATCH, heads, tokens, DIM)


def _lower(rows: int, tokens: int) -> Tensor:
    return torch.ones(rows, tokens, dtype=torch.bool).tril(tokens - rows)


def _infinite(seen: Tensor) -> Tensor:
    return torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))


def test_torchs_own_counter_sees_no_attention_on_the_cpu() -> None:
    """Fails when torch learns it: then `count` may use torch's."""
    counter = FlopCounterMode(display=False)
    with counter:
        scaled_dot_product_attention(_heads(6), _heads(6), _heads(6), is_causal=True)
    assert counter.get_total_flops() == 0


@pytest.mark.parametrize(
    ("rows", "tokens", "mask", "pairs"),
    [
        (6, 6, None, 36),
        (6, 9, None, 54),
        (1, 9, None, 9),
        (6, 6, _lower(6, 6), 21),
        (6, 6, _infinite(_lower(6, 6)), 21),
        (6, 9, _lower(6, 9), 6 * 3 + 21),
        (6, 9, _lower(6, 9)[None, None], 6 * 3 + 21),
        (6, 9, causal_lower_right(6, 9), 6 * 3 + 21),
        (6, 6, causal_lower_right(6, 6), 21),
        (2, 3, torch.tensor([[True, True, False], [True, False, True]]), 4),
        (2, 3, torch.full((2, 3), -2.5), 6),
    ],
)
def test_attention_costs_its_visible_pairs(
    rows: int, tokens: int, mask: Tensor | None, pairs: int
) -> None:
    q, k = _heads(rows), _heads(tokens)
    assert count(lambda: scaled_dot_product_attention(q, k, k, attn_mask=mask)) == pairs * PAIR


@pytest.mark.parametrize(("rows", "tokens", "pairs"), [(6, 6, 21), (4, 6, 10), (6, 4, 6 + 3 * 4)])
def test_causal_attention_costs_the_lower_triangle(rows: int, tokens: int, pairs: int) -> None:
    q, k = _heads(rows), _heads(tokens)
    assert count(lambda: scaled_dot_product_attention(q, k, k, is_causal=True)) == pairs * PAIR


@pytest.mark.parametrize("mask", [None, _lower(6, 9)])
def test_grouped_heads_cost_as_much_as_others(mask: Tensor | None) -> None:
    q, k, grouped = _heads(6), _heads(9), _heads(9, heads=2)
    alike = count(lambda: scaled_dot_product_attention(q, k, k, attn_mask=mask))
    shared = count(
        lambda: scaled_dot_product_attention(q, grouped, grouped, attn_mask=mask, enable_gqa=True)
    )
    assert shared == alike


def test_causal_biases_are_made_while_the_work_runs_and_as_ever_afterwards() -> None:
    q, k = _heads(6), _heads(9)

    def work() -> None:
        scaled_dot_product_attention(q, k, k, attn_mask=causal_lower_right(6, 9))

    assert count(work) == (6 * 3 + 21) * PAIR
    assert largest_tensor(work) == BATCH * HEADS * 6 * DIM
    assert "__new__" not in vars(CausalBias)
    work()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_work_costs_the_same_in_every_grad_mode(mode: Callable[[], object]) -> None:
    q, x, weight = _heads(6), torch.randn(5, 7), torch.randn(11, 7)

    def work() -> None:
        with mode():  # type: ignore[attr-defined]  # the three share no type
            scaled_dot_product_attention(q, q, q, is_causal=True)
            linear(x, weight)

    assert count(work) == 21 * PAIR + 2 * 5 * 7 * 11


@pytest.mark.parametrize("family", FAMILIES)
def test_a_models_pass_costs_the_closed_form(family: Family) -> None:
    model = tiny_model(family)
    form = ClosedForm.of(model.config, SELECTED)
    nothing = Suffix(0, 0, 0)
    assert count(lambda: _read(model, 50)) == form.reference(50, nothing)


def test_a_pass_over_kept_keys_costs_the_closed_form() -> None:
    model = tiny_model("llama")
    form = ClosedForm.of(model.config, SELECTED)
    cache = DynamicCache(config=model.config)
    first = count(lambda: _read(model, 50, cache))
    second = count(lambda: _read(model, 7, cache))
    assert first + second == form.reference(50, Suffix(stem=0, tail=7, null_tail=0))


@pytest.mark.parametrize("context", [20, 61])
def test_the_published_pass_costs_the_closed_form(context: int) -> None:
    """Its maps are made by products of all pairs: those above the diagonal come on top."""
    model = tiny_model("llama")
    form = ClosedForm.of(model.config, SELECTED)
    ids = list(range(4, 4 + context))
    work = count(
        lambda: published_scores(
            model, ids[:5], [ids[5:]], [1, 2, 3], [4, 5, 6, 7], [8, 9], SELECTED
        )
    )
    unseen = causal(7 - 1) + causal(5 - 1)
    dense = 4 * form.head_dim * form.heads * form.layers_total * unseen
    assert work == form.reference(context, TINY) + dense


def test_reading_is_cheaper_than_the_published_pass_by_the_layers_left_out() -> None:
    form = ClosedForm.of(tiny_model("llama").config, SELECTED)
    whole, kept = form.reference(50, Suffix(0, 0, 0)), form.read(50)
    deepest_keys = 2 * 50 * 48 * 2 * 16
    assert kept - deepest_keys == whole * 2 // 4


def test_pieces_cost_what_the_whole_costs() -> None:
    form = LLAMA_3_1_8B
    assert form.read(700) + form.read(300, behind=700) == form.read(1000)
    assert form.appended(0, 1000, SUFFIX) == form.cold(1000, SUFFIX)
    assert form.read(0, behind=700) == 0


def test_a_repeated_query_costs_its_tail_alone() -> None:
    form = LLAMA_3_1_8B
    again = form.repeated(1000, SUFFIX)
    assert again < form.repeated(1000, SUFFIX, stem_runs_again=True) < form.asked(1000, SUFFIX)
    assert again == form.asked(1040, Suffix(stem=0, tail=30, null_tail=0))


def test_an_8b_model_saves_what_it_should_at_16k_tokens() -> None:
    saved = ratios(LLAMA_3_1_8B, 16 * 1024, 300, SUFFIX)
    assert saved.cold >= 1.8
    assert saved.appended >= 50
    assert saved.repeated >= 250


def test_the_table_has_a_line_for_each_length() -> None:
    lines = table(contexts=(2048, 4096)).splitlines()
    assert [line.split()[0] for line in lines] == ["tokens", "2048", "4096"]


def test_views_and_writes_make_no_tensor() -> None:
    x, y = torch.randn(40, 40), torch.zeros(100)

    def work() -> None:
        y.add_(x.view(-1)[:100].expand(1000, 100)[7])
        torch.add(y, y, out=y)

    assert largest_tensor(work) == 0


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_the_largest_tensor_is_found_inside_other_operators(mode: Callable[[], object]) -> None:
    q = _heads(50)

    def work() -> None:
        with mode(), sdpa_kernel(SDPBackend.MATH):  # type: ignore[attr-defined]  # share no type
            scaled_dot_product_attention(q, q, q)

    assert largest_tensor(work) == BATCH * HEADS * 50 * 50


@pytest.mark.parametrize("tokens", [200, 400])
def test_eager_maps_grow_with_the_square_and_fused_attention_does_not(tokens: int) -> None:
    model = tiny_model("llama")
    heads, head_dim = 8, 16
    assert largest_tensor(lambda: _read(model, tokens)) == heads * head_dim * tokens
    model.set_attn_implementation("eager")
    assert largest_tensor(lambda: _read(model, tokens)) == heads * tokens * tokens


def _read(model: PreTrainedModel, tokens: int, cache: DynamicCache | None = None) -> None:
    with torch.inference_mode():
        ids = torch.arange(tokens)[None] % 300
        model.base_model(ids, past_key_values=cache, use_cache=cache is not None)
