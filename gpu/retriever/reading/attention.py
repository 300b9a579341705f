"""Attention of new rows over a window's keys. Tensor arithmetic only, on one window at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (https://arxiv.org/abs/2104.09864): x (rows, heads, d), cos (rows, d)."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos[:, None] + turned * sin[:, None]


def append(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The last rows of a window attend to all before them and to themselves.

    q (rows, heads, d); keys, values (kv heads, tokens, d) hold the rows' own at their end.
    """
    rows, tokens = q.shape[0], keys.shape[1]
    if rows == tokens:
        return _attend(q, keys, values, causal=True)
    return _attend(q, keys, values, mask=causal_lower_right(rows, tokens))


def ask(q: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
    """Rows of several questions attend to what each may see: visible (rows, tokens), bool."""
    return _attend(q, keys, values, mask=visible)


def visible_tokens(
    window_tokens: int, stem: int, tails: Sequence[int], device: str, hidden: int = 0
) -> Tensor:
    """What the rows of a stem and of the tails after it see: (rows, tokens), bool.

    All see the window, and nothing of the `hidden` tokens between it and the rows' own. The stem
    sees itself, a tail the stem and itself, causally; no tail sees another, and all begin at one
    position.
    """
    rows, before = stem + sum(tails), window_tokens + hidden
    seen = torch.zeros(rows, before + rows, dtype=torch.bool, device=device)
    seen[:, :window_tokens] = True
    seen[:, before : before + stem] = True
    seen[:stem, before : before + stem] = _causal(stem, device)
    start = stem
    for size in tails:
        own = slice(before + start, before + start + size)
        seen[start : start + size, own] = _causal(size, device)
        start += size
    return seen


def attention_paid(q: Tensor, keys: Tensor, visible: Tensor, groups: Sequence[int]) -> Tensor:
    """What groups of rows pay each token, summed over heads and a group's rows: (groups, tokens).

    q (rows, heads, d) of the selected heads, keys (heads, tokens, d) of the key head each of them
    reads; `groups` are the numbers of rows, which lie one group after another. The softmax goes
    over the whole visible row, in 32 bits.
    """
    logits = torch.matmul(q.transpose(0, 1), keys.transpose(1, 2)).float()  # (heads, rows, tokens)
    logits.mul_(q.shape[-1] ** -0.5).masked_fill_(~visible, float("-inf"))
    paid = torch.softmax(logits, dim=-1).sum(dim=0)  # (rows, tokens)
    return torch.stack([part.sum(dim=0) for part in torch.split(paid, list(groups))])


def _attend(
    q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """(rows, heads, d) in and out."""
    attended = scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=causal,
        enable_gqa=q.shape[1] != keys.shape[0],
    )
    return attended[0].transpose(0, 1)


def _causal(size: int, device: str) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()
