"""The published method, plain and slow: the truth that the retriever's fast path is held to.

QRHead (https://arxiv.org/abs/2506.09944), which QRRanker (https://arxiv.org/abs/2602.12192) trains:

    opening   chunk  chunk  ...  chunk   stem   tail
                                         what the scored rows are
              what they attend to is summed

A selected head pays each token of the chunks some attention from each scored row. Its mean over the
rows, minus the same for the null query, summed over the heads, is the token's score; a chunk's is
the sum of its tokens' without those far below the others.

It follows `score_docs` of princeton-pli/QRHead, src/qrretriever/attn_retriever.py, and differs in
one thing: there `score > mean - 2 * std` drops everything of a chunk of one token (its std is NaN)
or without spread; here such a chunk keeps all.

It takes token ids, so it does not depend on how text becomes tokens, and any causal model of
transformers, whole. Whatever attention the model is set to is left as it was. After the attention
maps all is in 64 bits. Nothing here knows the retriever.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, pairwise

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

Ids = Sequence[int]
Head = tuple[int, int]  # (layer, query head), both counted from 0


def reference_scores(
    model: PreTrainedModel,
    opening: Ids,
    chunks: Sequence[Ids],
    stem: Ids,
    tail: Ids,
    null_tail: Ids,
    heads: Sequence[Head],
) -> list[float]:
    """One score for each chunk, in the order of the chunks."""
    tokens = token_scores(model, opening, chunks, stem, tail, null_tail, heads)
    return chunk_scores(tokens, chunks)


def token_scores(
    model: PreTrainedModel,
    opening: Ids,
    chunks: Sequence[Ids],
    stem: Ids,
    tail: Ids,
    null_tail: Ids,
    heads: Sequence[Head],
) -> Tensor:
    """Calibrated scores of the chunks' tokens, one chunk after the other: (chunk tokens,)."""
    context = [*opening, *chain.from_iterable(chunks)]
    asked = attention_paid(model, context, [*stem, *tail], heads)
    null = attention_paid(model, context, [*stem, *null_tail], heads)
    return _calibrated(asked, null, range(len(opening), len(context)))


@torch.inference_mode()
def attention_paid(
    model: PreTrainedModel, context: Ids, rows: Ids, heads: Sequence[Head]
) -> Tensor:
    """What each head's rows pay to each token, on average: (heads, context + rows), sums to 1.

    One pass over everything, all layers; the maps are (1, heads, tokens, tokens) each.
    """
    ids = _batch(model, [*context, *rows])
    with _eager(model):
        maps = model.base_model(ids, use_cache=False, output_attentions=True).attentions
    return _mean_of_rows([map[:, :, len(context) :] for map in maps], heads)


def chunk_scores(tokens: Tensor, chunks: Sequence[Ids]) -> list[float]:
    """Sums of each chunk's token scores without its outliers."""
    bounds = pairwise(accumulate(map(len, chunks), initial=0))
    return [float(without_outliers(tokens[start:end]).sum()) for start, end in bounds]


def without_outliers(values: Tensor) -> Tensor:
    """`values` (tokens,) of one chunk without those at or below mean - 2 * std (unbiased).

    Five tokens or fewer keep all whatever they are: nothing can lie that far out among them.
    """
    if len(values) < 2 or values.std() == 0:
        return values
    return values[values > values.mean() - 2 * values.std()]


@torch.inference_mode()
def published_scores(
    model: PreTrainedModel,
    opening: Ids,
    chunks: Sequence[Ids],
    stem: Ids,
    tail: Ids,
    null_tail: Ids,
    heads: Sequence[Head],
) -> list[float]:
    """The same scores at the published cost, for long contexts and for timing.

    As the published code does it: all layers read the context once, with the model's own attention
    (no N x N map), and the query and the null query are two passes over its keys and values. There
    the query is part of the first pass, which is the same work, and all heads' rows are computed a
    second time to read them off; here their maps are kept from the pass, which favours it.
    """
    context = [*opening, *chain.from_iterable(chunks)]
    cache = DynamicCache(config=model.config)
    model.base_model(_batch(model, context), past_key_values=cache, use_cache=True)
    asked = _paid_over(cache, model, [*stem, *tail], heads)
    null = _paid_over(cache, model, [*stem, *null_tail], heads)
    return chunk_scores(_calibrated(asked, null, range(len(opening), len(context))), chunks)


def _paid_over(
    cache: DynamicCache, model: PreTrainedModel, rows: Ids, heads: Sequence[Head]
) -> Tensor:
    """(heads, cached + rows); the cache is left as it was."""
    with _eager(model):
        read = model.base_model(
            _batch(model, rows), past_key_values=cache, use_cache=True, output_attentions=True
        )
    cache.crop(-len(rows))
    return _mean_of_rows(read.attentions, heads)


def _calibrated(asked: Tensor, null: Tensor, tokens: range) -> Tensor:
    span = slice(tokens.start, tokens.stop)
    return (asked[:, span] - null[:, span]).sum(dim=0)


def _mean_of_rows(maps: Sequence[Tensor], heads: Sequence[Head]) -> Tensor:
    """From maps of all layers, (1, heads, rows, tokens) each, to (selected heads, tokens)."""
    selected = [maps[layer][0, head] for layer, head in heads]  # (rows, tokens) each
    return torch.stack(selected).double().mean(dim=1).cpu()


def _batch(model: PreTrainedModel, ids: Ids) -> Tensor:
    return torch.tensor([list(ids)], device=model.device)  # (1, tokens)


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """Attention that shows its maps; the others give None for them."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
