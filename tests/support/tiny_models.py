"""Tiny random decoders of every family the retriever runs, and a tokenizer to go with them.

Grouped heads, and a head width that is not `hidden / heads`: what Llama never shows and Qwen3 does.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

Family = Literal["llama", "mistral", "qwen2", "qwen3"]
FAMILIES: tuple[Family, ...] = ("llama", "mistral", "qwen2", "qwen3")

LAYERS = 4
HEADS = 8
KV_HEADS = 2
HEAD_DIM = 16
HIDDEN = 48
SPECIAL_TOKENS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")

_SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": HIDDEN,
    "intermediate_size": 80,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
    "tie_word_embeddings": False,
    # random weights of transformers' 0.02 attend to everything alike: no two heads would differ
    "initializer_range": 0.2,
}
_CONFIGS: dict[Family, Callable[..., PreTrainedConfig]] = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
}
_MODELS: dict[Family, Callable[..., PreTrainedModel]] = {
    "llama": LlamaForCausalLM,
    "mistral": MistralForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
}


def tiny_config(family: Family, **over: Any) -> PreTrainedConfig:
    """A configuration with no sliding window; `over` replaces any of its values."""
    windowless = {"sliding_window": None} if family == "mistral" else {}
    return _CONFIGS[family](**{**_SHAPE, **windowless, **over})


def tiny_model(family: Family, seed: int = 0, **over: Any) -> PreTrainedModel:
    """A whole causal model in fp32, the same for the same seed; `.model` is its decoder."""
    config = tiny_config(family, **over)
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _MODELS[family](config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # Qwen2's start as zeros, and would prove nothing
                torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]  # untyped over there


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: 256 bytes, a few merges, `SPECIAL_TOKENS` first; any text can be written."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _merges()
    tokens = [*SPECIAL_TOKENS, *alphabet, *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    fast: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast  # untyped over there
    return fast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def save_tiny(
    folder: Path, family: Family, seed: int = 0, *, shard: str = "50GB", **over: Any
) -> Path:
    """Writes a checkpoint as a hub repository holds it: config, safetensors, tokenizer."""
    tiny_model(family, seed, **over).save_pretrained(folder, max_shard_size=shard)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def _merges() -> Sequence[tuple[str, str]]:
    space = "Ġ"  # how a byte-level vocabulary writes a space
    return [
        *((space, letter) for letter in "taspcw"),
        *(("h", "e"), ("i", "n"), ("e", "r"), ("o", "n"), ("r", "e"), ("o", "u"), ("a", "n")),
        *((f"{space}t", "he"), ("in", "g"), ("an", "d"), (f"{space}a", "n"), ("l", "l")),
    ]
