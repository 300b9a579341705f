"""The reference against arithmetic done by hand, and against its own quicker form."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from gpu.reference import (
    attention_paid,
    chunk_scores,
    published_scores,
    reference_scores,
    token_scores,
    without_outliers,
)
from support.tiny_models import FAMILIES, Family, tiny_model

OPENING = [0, 5, 9, 12]
CHUNKS = [[31, 32, 33, 34, 35, 36, 37], [41], [51, 52, 53, 31, 32, 33, 34, 35, 36, 37, 60]]
STEM = [71, 72, 73]
TAIL = [81, 32, 33, 3]
NULL_TAIL = [91, 3]
HEADS = [(0, 1), (1, 7), (1, 2), (3, 4)]
CONTEXT = [*OPENING, *(id for chunk in CHUNKS for id in chunk)]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    family: Family = request.param
    return tiny_model(family, seed=3)


@pytest.fixture(scope="module")
def llama() -> PreTrainedModel:
    return tiny_model("llama", seed=3)


def test_what_a_head_pays_adds_up_to_one(model: PreTrainedModel) -> None:
    paid = attention_paid(model, CONTEXT, [*STEM, *TAIL], HEADS)
    assert paid.shape == (len(HEADS), len(CONTEXT) + len(STEM) + len(TAIL))
    assert (paid >= 0).all()
    torch.testing.assert_close(paid.sum(dim=1), torch.ones(len(HEADS), dtype=torch.double))


def test_a_row_sees_itself_and_what_is_before_it(llama: PreTrainedModel) -> None:
    paid = attention_paid(llama, CONTEXT, [71], HEADS)
    of_two = attention_paid(llama, CONTEXT, [71, 72], HEADS)
    last = 2 * of_two[:, -1]  # only the second row sees the last token
    assert (last > 0).all()
    second = 2 * of_two[:, :-1] - paid
    torch.testing.assert_close(second.sum(dim=1) + last, torch.ones(4, dtype=torch.double))


def test_a_map_is_the_softmax_of_scaled_products_with_the_keys_of_the_heads_group() -> None:
    model = tiny_model("llama", seed=8)
    ids = torch.tensor([*CONTEXT, *STEM])
    decoder: Any = model.base_model
    layer = decoder.layers[0]
    with torch.inference_mode():
        normed = layer.input_layernorm(decoder.embed_tokens(ids))
        queries = _rotated(layer.self_attn.q_proj(normed).view(len(ids), 8, 16))
        keys = _rotated(layer.self_attn.k_proj(normed).view(len(ids), 2, 16))
    for head, group in [(0, 0), (3, 0), (4, 1), (7, 1)]:
        logits = queries[:, head] @ keys[:, group].T / 16**0.5  # (rows, tokens)
        hidden = torch.ones_like(logits).triu(1).bool()
        by_hand = logits.masked_fill(hidden, float("-inf")).softmax(dim=-1)[-len(STEM) :].mean(0)
        paid = attention_paid(model, CONTEXT, STEM, [(0, head)])[0]
        torch.testing.assert_close(paid.float(), by_hand, rtol=1e-5, atol=1e-7)


def test_equal_tails_cancel(model: PreTrainedModel) -> None:
    scores = reference_scores(model, OPENING, CHUNKS, STEM, TAIL, TAIL, HEADS)
    assert scores == [0.0, 0.0, 0.0]


def test_query_and_null_query_swapped_swap_the_signs(model: PreTrainedModel) -> None:
    asked = token_scores(model, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    swapped = token_scores(model, OPENING, CHUNKS, STEM, NULL_TAIL, TAIL, HEADS)
    assert asked.abs().max() > 1e-3
    torch.testing.assert_close(asked, -swapped)


def test_heads_add_up(llama: PreTrainedModel) -> None:
    apart = [token_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, [head]) for head in HEADS]
    together = token_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    torch.testing.assert_close(torch.stack(apart).sum(dim=0), together)


def test_token_scores_are_of_the_chunks_and_of_nothing_else(llama: PreTrainedModel) -> None:
    tokens = token_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    query = attention_paid(llama, CONTEXT, [*STEM, *TAIL], HEADS).sum(dim=0)
    null = attention_paid(llama, CONTEXT, [*STEM, *NULL_TAIL], HEADS).sum(dim=0)
    assert tokens.shape == (sum(map(len, CHUNKS)),)
    torch.testing.assert_close(tokens[0], query[len(OPENING)] - null[len(OPENING)])
    torch.testing.assert_close(tokens[-1], query[len(CONTEXT) - 1] - null[len(CONTEXT) - 1])


def test_a_chunk_of_one_token_scores_as_its_token(llama: PreTrainedModel) -> None:
    tokens = token_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    scores = reference_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    assert scores[1] == float(tokens[len(CHUNKS[0])]) != 0.0


def test_no_chunks_have_no_scores(llama: PreTrainedModel) -> None:
    assert reference_scores(llama, OPENING, [], STEM, TAIL, NULL_TAIL, HEADS) == []
    assert published_scores(llama, OPENING, [], STEM, TAIL, NULL_TAIL, HEADS) == []


def test_kept_keys_and_values_give_the_same_scores(model: PreTrainedModel) -> None:
    prompt = (OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    slow = reference_scores(model, *prompt)
    assert published_scores(model, *prompt) == pytest.approx(slow, rel=0, abs=1e-6)
    assert max(map(abs, slow)) > 1e-2


def test_the_models_own_attention_is_left_as_it_was(llama: PreTrainedModel) -> None:
    reference_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    published_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, HEADS)
    assert llama.config._attn_implementation == "sdpa"


def test_a_head_that_is_not_there_is_an_error(llama: PreTrainedModel) -> None:
    for missing in [(4, 0), (0, 8)]:
        with pytest.raises(IndexError):
            reference_scores(llama, OPENING, CHUNKS, STEM, TAIL, NULL_TAIL, [missing])


def test_a_token_at_mean_minus_two_deviations_is_dropped() -> None:
    values = torch.tensor([-4.0, 3, 1, 1, 1, -2, 0, 0, 0])  # mean 0, squares 32 over 8: std 2
    assert without_outliers(values).tolist() == [3, 1, 1, 1, -2, 0, 0, 0]
    assert chunk_scores(values, [range(9)]) == [4.0]


def test_a_token_just_above_is_kept() -> None:
    values = torch.tensor([-4.0, 3, 1, 1, 1, -2, 0, 0, 0, 0])  # one more zero: mean 0, std 1.89
    assert len(without_outliers(values)) == 9
    wider = torch.tensor([-4.0, 4, 1, 1, 1, -2, -1, 0, 0])  # mean 0, squares 40 over 8: std 2.24
    assert len(without_outliers(wider)) == 9


def test_only_the_low_side_is_dropped() -> None:
    values = torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0])
    assert chunk_scores(values, [range(8)]) == [9.0]
    assert chunk_scores(-values, [range(8)]) == [0.0]


def test_the_deviation_is_the_unbiased_one() -> None:
    """Six tokens, one far below: 2.04 unbiased deviations. Of five none is further than 1.79."""
    assert chunk_scores(torch.tensor([-1.0, 0, 0, 0, 0, 0]), [range(6)]) == [0.0]
    assert chunk_scores(torch.tensor([-1.0, 0, 0, 0, 0]), [range(5)]) == [-1.0]


def test_a_chunk_without_spread_keeps_all() -> None:
    assert chunk_scores(torch.full((4,), 0.25), [range(4)]) == [1.0]
    assert chunk_scores(torch.tensor([-0.5]), [range(1)]) == [-0.5]


def test_outliers_are_sought_within_a_chunk() -> None:
    values = torch.tensor([-1.0, 0, 0, 0, 0, 0])
    assert chunk_scores(values, [range(3), range(3)]) == [-1.0, 0.0]


def _rotated(x: Tensor) -> Tensor:
    """Rotary positions written as complex numbers: x (tokens, heads, d)."""
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-torch.arange(half) / half)
    angles = torch.outer(torch.arange(len(x)), speeds)[:, None]  # (tokens, 1, d / 2)
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.tensor(1.0), angles)
    return torch.cat([turned.real, turned.imag], dim=-1)
