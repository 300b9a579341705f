"""A window's room: what it holds, what moves when it grows, what a branch takes along."""

import pytest
import torch

from gpu.flops import ClosedForm
from retriever.reading.decoder import Decoder
from retriever.reading.window import GROWTH_TOKENS, Baseline, Shape, Window
from support.readers import HEADS
from support.tiny_models import FAMILIES, Family, tiny_model

SHAPE = Shape(layers=2, kv_heads=2, head_dim=4, dtype=torch.bfloat16, device="cpu")
OPENING = [1, 2, 3]


def laid_out() -> Window:
    """An opening, a chunk of two pieces and one of a single piece."""
    window = Window(SHAPE, OPENING)
    window.lay_out(b"a", [[4, 5], [6]])
    window.lay_out(b"b", [[7, 8, 9, 10]])
    return window


def filled(window: Window, tokens: int) -> None:
    """Reads `tokens`, each kept as its own number."""
    start = window.length
    window.reserve(start + tokens)
    window.mark_read(tokens)
    for tensors in (window.keys, window.values):
        for kept in tensors:
            kept[:, start : start + tokens] = torch.arange(start, start + tokens)[None, :, None]


def held(window: Window) -> list[list[float]]:
    return [kept[0, : window.length, 0].tolist() for kept in (*window.keys, *window.values)]


def test_pieces_end_where_their_tokens_do() -> None:
    window = laid_out()
    assert window.unread == list(range(1, 11))
    assert window.ends == [3, 5, 6, 10]
    assert window.pieces == [2, 1]
    assert window.ends_after(1) == [3, 5, 6]
    assert window.tokens == 10


def test_an_empty_window_takes_nothing() -> None:
    window = laid_out()
    assert window.bytes_taken == 0
    assert window.bytes_with(0) == GROWTH_TOKENS * SHAPE.bytes_per_token


def test_bytes_are_those_of_its_tensors() -> None:
    window = laid_out()
    for tokens in (1, GROWTH_TOKENS, GROWTH_TOKENS + 1, 5 * GROWTH_TOKENS):
        window.reserve(tokens)
        tensors = [*window.keys, *window.values]
        assert window.bytes_taken == sum(one.untyped_storage().nbytes() for one in tensors)
        assert window.bytes_taken >= tokens * SHAPE.bytes_per_token
    window.reserve(1)
    assert window.bytes_taken == 5 * GROWTH_TOKENS * SHAPE.bytes_per_token


def test_what_was_read_moves_along() -> None:
    window = Window(SHAPE, range(300))
    filled(window, 250)
    before = held(window)
    window.reserve(10 * GROWTH_TOKENS)
    assert held(window) == before == [list(map(float, range(250)))] * 5
    assert window.unread == list(range(250, 300))


def test_a_window_that_grows_loses_its_baseline() -> None:
    window = laid_out()
    window.baseline = Baseline(torch.zeros(10), torch.zeros(10))
    window.lay_out(b"c", [[1]])
    assert window.baseline is None


def test_a_branch_takes_over_what_was_read_of_its_chunks_and_is_its_own() -> None:
    window = laid_out()
    filled(window, 8)
    window.baseline = Baseline(torch.zeros(10), torch.zeros(10))
    branch = window.branch(1)
    assert (branch.length, branch.found, branch.ids) == (0, 6, [1, 2, 3, 4, 5, 6])
    branch.take_over()
    assert (branch.length, branch.unread, branch.ends) == (6, [], [3, 5, 6])
    assert (branch.chain, branch.pieces, branch.baseline) == ([b"a"], [2], None)
    assert (branch.origin, branch.found) == (None, 6)
    assert held(branch) == [list(map(float, range(6)))] * 5
    branch.lay_out(b"z", [[20]])
    filled(branch, 1)
    for tensors in (branch.keys, branch.values):
        for kept in tensors:
            kept.fill_(-1)
    assert held(window) == [list(map(float, range(8)))] * 5
    assert window.chain == [b"a", b"b"]


def test_a_branch_takes_no_room_before_it_takes_over_and_moves_once() -> None:
    window = laid_out()
    filled(window, 10)
    branch = window.branch(1)
    branch.lay_out(b"z", [range(600)])
    assert branch.bytes_taken == 0
    assert {kept.shape[1] for kept in branch.keys} == {0}
    branch.take_over()
    assert branch.bytes_taken == branch.bytes_with(0)


def test_a_branch_of_what_is_half_read_goes_on_where_it_was() -> None:
    window = laid_out()
    filled(window, 4)
    branch = window.branch(1)
    branch.take_over()
    assert (branch.length, branch.unread) == (4, [5, 6])


def test_a_branch_of_what_is_unread_or_gone_reads_all() -> None:
    window = laid_out()
    gone, unread = laid_out().branch(1), window.branch(1)
    for branch in (gone, unread):
        assert branch.found == 0
        branch.take_over()
        assert (branch.length, branch.unread, branch.bytes_taken) == (0, [1, 2, 3, 4, 5, 6], 0)


def test_a_branch_takes_over_no_more_than_is_still_alike() -> None:
    window = laid_out()
    filled(window, 10)
    branch = window.branch(2)
    window.cut(1)
    window.lay_out(b"c", [[7, 80, 9]])
    filled(window, 3)
    branch.take_over()
    assert (branch.length, branch.unread) == (7, [8, 9, 10])


def test_a_window_cut_keeps_its_beginning_where_it_is() -> None:
    window = laid_out()
    filled(window, 10)
    window.baseline = Baseline(torch.zeros(10), torch.zeros(10))
    places = [kept.data_ptr() for kept in (*window.keys, *window.values)]
    window.cut(1)
    assert (window.chain, window.pieces, window.ends) == ([b"a"], [2], [3, 5, 6])
    assert (window.length, window.ids) == (6, [1, 2, 3, 4, 5, 6])
    assert window.baseline is None
    assert [kept.data_ptr() for kept in (*window.keys, *window.values)] == places


def test_a_window_cut_at_its_end_is_as_it_was() -> None:
    window = laid_out()
    filled(window, 8)
    window.baseline = Baseline(torch.zeros(10), torch.zeros(10))
    window.cut(2)
    assert (window.length, window.tokens) == (8, 10)
    assert window.baseline is not None


def test_what_is_released_is_to_be_read_again() -> None:
    window = laid_out()
    filled(window, 10)
    window.release()
    assert (window.bytes_taken, window.length, window.unread) == (0, 0, list(range(1, 11)))
    filled(window, 10)
    assert held(window) == [list(map(float, range(10)))] * 5


def test_text_alone_says_what_a_window_is_mostly_made_of() -> None:
    window = Window(SHAPE, range(1000))
    window.lay_out(b"a", [[1] * 4])
    window.lay_out(b"b", [[1] * 5])
    window.lay_out(b"c", [[1]])
    assert [window.is_mostly(chunks) for chunks in (0, 1, 2, 3)] == [False, False, True, True]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_takes_what_the_layers_below_the_deepest_say(family: Family) -> None:
    model = tiny_model(family)
    form = ClosedForm.of(model.config, HEADS)
    shape = Decoder(model.model, HEADS).shape
    keys_and_values = 2 * form.deepest_layer + 1  # at the deepest layer no values
    assert shape.bytes_per_token == keys_and_values * form.kv_heads * form.head_dim * 4


def test_an_8b_model_keeps_70_kibibytes_a_token() -> None:
    shape = Shape(layers=17, kv_heads=8, head_dim=128, dtype=torch.bfloat16, device="cpu")
    assert shape.bytes_per_token == 70 * 1024
