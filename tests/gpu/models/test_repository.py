"""The hub, on loopback: what is fetched of a model, at which commit, and what its absence gives."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.models.repository import open_repository
from support.hub import COMMIT, Hub, serving
from support.tiny_models import save_tiny

NAME = "someone/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = save_tiny(tmp_path / "model", "llama", shard="60KB")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "pytorch_model.bin").write_bytes(b"never fetched")
    (folder / "modeling_mine.py").write_text("raise RuntimeError('never fetched')")
    with serving(Hub(NAME, folder)) as hub:
        point_at(hub.url, tmp_path / "cache", monkeypatch)
        yield hub


def point_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE do, which are read at import."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def load(revision: str) -> Checkpoint:
    return load_checkpoint(
        NAME,
        lora_id=None,
        revision=revision,
        lora_revision=None,
        device=torch.device("cpu"),
        dtype=torch.float32,
        deepest_layer=1,
        needed_tokens=100,
        cache=Path("not-used"),
    )


def test_only_files_with_layers_that_score_are_fetched(hub: Hub) -> None:
    shards = sorted(path.name for path in hub.folder.glob("*.safetensors"))
    loaded = load(COMMIT)
    fetched = {name for name in hub.fetched if name.endswith(".safetensors")}
    assert fetched == {path.name for path in loaded.files}
    assert 0 < len(fetched) < len(shards)


def test_neither_pickles_nor_code_are_fetched(hub: Hub) -> None:
    load(COMMIT)
    assert not [name for name in hub.fetched if name.endswith((".bin", ".py"))]
    assert len(hub.fetched) == len(set(hub.fetched))


def test_a_branch_is_resolved_to_its_commit(hub: Hub) -> None:
    assert load("main").revision == COMMIT


def test_the_record_names_files_by_what_the_hub_says_of_them(hub: Hub) -> None:
    loaded = load(COMMIT)
    told = {entry["path"]: entry["lfs"]["oid"] for entry in hub.tree() if "lfs" in entry}
    assert {one.file: one.sha256 for one in loaded.sources()}.items() <= told.items()
    assert loaded.licence == "mit"


def test_a_model_in_one_file_is_fetched_too(hub: Hub) -> None:
    shards = list(hub.folder.glob("*.safetensors"))
    whole = {name: value for shard in shards for name, value in load_file(shard).items()}
    for file in (*shards, hub.folder / "model.safetensors.index.json"):
        file.unlink()
    save_file(whole, hub.folder / "model.safetensors")
    assert [path.name for path in load(COMMIT).files] == ["model.safetensors"]


def test_what_was_fetched_before_needs_no_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(COMMIT)
    point_at("http://127.0.0.1:9", tmp_path / "cache", monkeypatch)
    assert load(COMMIT).revision == COMMIT


def test_a_hub_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at("http://127.0.0.1:9", tmp_path / "cache", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # else it is tried for 20 seconds
    with pytest.raises(Unusable, match="could not be fetched"):
        load(COMMIT)


def test_a_model_that_the_hub_does_not_have_is_said(hub: Hub) -> None:
    with pytest.raises(Unusable, match=r"someone/none at .* HF_TOKEN"):
        open_repository("someone/none", COMMIT, "MODEL_REVISION")
