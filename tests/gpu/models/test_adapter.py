"""Merging a LoRA: the merged decoder computes what peft computes unmerged, or nothing is merged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from retriever.errors import Unusable
from retriever.models.adapter import CONFIG, WEIGHTS, merge_adapter, open_adapter
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.models.repository import Repository
from support.tiny_models import FAMILIES, LAYERS, Family, save_tiny, tiny_model

DEEPEST = 2
IDS = torch.arange(4, 40)[None]  # (1, rows)
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
Tensors = dict[str, Tensor]
ROW = torch.ones(4, 48)

# peft 0.21 asks transformers 5.23 by an old name when an adapter is *made*
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)


def make_adapter(
    folder: Path, family: Family = "llama", *, causal: bool = True, **over: Any
) -> list[Tensor]:
    """Writes one of random numbers; what peft computes with it unmerged goes into each layer."""
    model: Any = tiny_model(family)
    settings: dict[str, Any] = {"r": 4, "target_modules": ATTENTION, "init_lora_weights": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        host = model if causal else model.model
        adapted: Any = get_peft_model(host, LoraConfig(**{**settings, **over}))
    adapted.save_pretrained(folder, save_embedding_layers=False)
    configure(folder, init_lora_weights=True)
    return hidden(adapted.base_model.model.model if causal else adapted.base_model.model)


def configure(folder: Path, **over: Any) -> None:
    written = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**written, **over}))


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def load(model: Path, lora_id: str | None, dtype: torch.dtype = torch.float32) -> Checkpoint:
    return load_checkpoint(
        str(model),
        lora_id=lora_id,
        revision=None,
        lora_revision=None,
        device=torch.device("cpu"),
        dtype=dtype,
        deepest_layer=DEEPEST,
        needed_tokens=8192,
        cache=Path("not-used"),
    )


@torch.no_grad()
def hidden(decoder: Any) -> list[Tensor]:
    """What goes into layers 0 to the deepest; each (1, rows, hidden)."""
    return list(decoder(IDS, output_hidden_states=True).hidden_states[: DEEPEST + 1])


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest, as a share of the largest number."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base", "llama")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    make_adapter(tmp_path / "lora")
    return tmp_path / "lora"


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_computes_what_unmerged_does(tmp_path: Path, family: Family, causal: bool) -> None:
    base = save_tiny(tmp_path / "base", family)
    expected = make_adapter(tmp_path / "lora", family, causal=causal)
    merged = load(base, str(tmp_path / "lora"))
    for ours, theirs in zip(hidden(merged.model), expected, strict=True):
        assert difference(ours, theirs) < 1e-5
    assert difference(hidden(load(base, None).model)[DEEPEST], expected[DEEPEST]) > 0.01


@pytest.mark.parametrize(
    "over",
    [
        {"use_rslora": True, "lora_alpha": 3},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 32}},
        {"layers_to_transform": [0, 3]},
        {"target_modules": r"model\.layers\.[02]\.self_attn\.(q|k)_proj"},
        {"target_modules": ["model.layers.1.self_attn.q_proj", "model.layers.3.mlp.up_proj"]},
        {"target_modules": "all-linear", "exclude_modules": ["o_proj"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
    ],
)
def test_every_way_of_choosing_modules_is_followed(
    base: Path, tmp_path: Path, over: dict[str, Any]
) -> None:
    expected = make_adapter(tmp_path / "lora", **over)
    merged = load(base, str(tmp_path / "lora"))
    assert difference(hidden(merged.model)[-1], expected[-1]) < 1e-5
    assert difference(hidden(load(base, None).model)[-1], expected[-1]) > 0.01


def test_layers_above_the_deepest_are_left_out_and_counted(base: Path, lora: Path) -> None:
    adapter = load(base, str(lora)).adapter
    assert adapter is not None
    tensors_a_layer = 2 * len(ATTENTION)
    assert adapter.merged == (DEEPEST + 1) * tensors_a_layer
    assert adapter.left_out == (LAYERS - DEEPEST - 1) * tensors_a_layer


def test_one_for_layers_above_alone_changes_nothing(base: Path, tmp_path: Path) -> None:
    make_adapter(tmp_path / "lora", layers_to_transform=[3])
    merged = load(base, str(tmp_path / "lora"))
    assert merged.adapter is not None
    assert merged.adapter.merged == 0
    assert all(map(torch.equal, hidden(merged.model), hidden(load(base, None).model)))


def test_the_vocabulary_head_is_above_all_layers(base: Path, tmp_path: Path) -> None:
    make_adapter(tmp_path / "lora", target_modules=["q_proj", "lm_head"])
    adapter = load(base, str(tmp_path / "lora")).adapter
    assert adapter is not None
    assert adapter.left_out == 2 * (LAYERS - DEEPEST - 1) + 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda w: {k: v for k, v in w.items() if "layers.1.self_attn.q_proj.lora_A" not in k},
            r"lacks .*layers\.1\.self_attn\.q_proj\.lora_A",
        ),
        (lambda w: {k: v for k, v in w.items() if "layers.3" in k or "q_proj" in k}, "and .* more"),
        (
            lambda w: {**w, "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": ROW},
            r"takes .*up_proj",
        ),
        (lambda w: {**w, "base_model.model.model.other.lora_A.weight": ROW}, r"takes .*other"),
        (lambda w: {**w, "something": ROW}, "takes something"),
        (lambda w: {k.replace("layers.0", "blocks.0"): v for k, v in w.items()}, "lacks"),
        (lambda w: {k: v[:2] if "lora_A" in k else v for k, v in w.items()}, "another shape"),
        (lambda w: {k: v.T.contiguous() for k, v in w.items()}, "another shape"),
        (lambda w: {k: v * float("nan") for k, v in w.items()}, "not finite"),
        (lambda w: {k: v * float("inf") for k, v in w.items()}, "not finite"),
        (lambda w: {k: v for k, v in w.items() if "layers.3" in k}, "lacks"),
        (lambda w: {}, "holds nothing"),
    ],
)
def test_one_that_does_not_fit_whole_is_refused(
    base: Path, lora: Path, change: Callable[[Tensors], Tensors], says: str
) -> None:
    rewrite(lora, change)
    with pytest.raises(Unusable, match=says):
        load(base, str(lora))


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"peft_type": "IA3"}, "no LoRA"),
        ({"peft_type": None}, "no LoRA"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"layer_replication": [[0, 2], [1, 4]]}, "layer_replication"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
        ({"use_what_comes_next_year": True}, "use_what_comes_next_year"),
        ({"target_modules": None}, "target_modules"),
        ({"target_modules": ["nothing"]}, "does not fit"),
        ({"r": 0}, "does not fit"),
    ],
)
def test_one_of_a_kind_that_is_not_understood_is_refused(
    base: Path, lora: Path, over: dict[str, Any], says: str
) -> None:
    configure(lora, **over)
    with pytest.raises(Unusable, match=says):
        load(base, str(lora))


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff{"])
def test_a_file_that_is_missing_or_damaged_is_refused(
    base: Path, lora: Path, file: str, content: bytes | None
) -> None:
    (lora / file).unlink() if content is None else (lora / file).write_bytes(content)
    with pytest.raises(Unusable, match=r"adapter_|no LoRA"):
        load(base, str(lora))


def test_pickled_weights_are_not_loaded(base: Path, lora: Path) -> None:
    torch.save(load_file(lora / WEIGHTS), lora / "adapter_model.bin")
    (lora / WEIGHTS).unlink()
    with pytest.raises(Unusable, match="only safetensors"):
        load(base, str(lora))


def test_a_bf16_model_is_merged_in_fp32_and_rounded_once(base: Path, lora: Path) -> None:
    rewrite(lora, lambda w: {key: value * 0.03 for key, value in w.items()})
    exact = load(base, str(lora)).model.state_dict()
    before = load(base, None, torch.bfloat16).model.state_dict()
    merged = load(base, str(lora), torch.bfloat16).model
    name = "layers.0.self_attn.q_proj.weight"
    stored = load_file(lora / WEIGHTS)
    a, b = (
        stored[f"base_model.model.model.layers.0.self_attn.q_proj.lora_{part}.weight"]
        for part in "AB"
    )
    assert torch.equal(merged.state_dict()[name], (before[name].float() + b @ a * 2).bfloat16())
    assert {value.dtype for value in merged.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in merged.buffers()} == {torch.float32}
    assert exact[name].dtype == torch.float32


def test_an_adapted_embedding_is_cast_back_as_well(base: Path, tmp_path: Path) -> None:
    make_adapter(tmp_path / "lora", target_modules=["embed_tokens", "q_proj"])
    merged = load(base, str(tmp_path / "lora"), torch.bfloat16).model
    assert {value.dtype for value in merged.parameters()} == {torch.bfloat16}


def test_what_comes_back_is_a_plain_decoder(base: Path, lora: Path) -> None:
    merged, plain = load(base, str(lora)).model, load(base, None).model
    assert type(merged) is type(plain)
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert not any(parameter.requires_grad for parameter in merged.parameters())


def test_what_was_merged_is_on_record(base: Path, lora: Path) -> None:
    configure(lora, base_model_name_or_path="someone/else")
    loaded = load(base, str(lora))
    assert loaded.adapter is not None
    assert loaded.adapter.base == "someone/else"
    assert [source.file for source in loaded.sources()] == ["model.safetensors", WEIGHTS]


def test_one_that_ships_is_found_by_its_name(base: Path, tmp_path: Path) -> None:
    make_adapter(tmp_path / "adapters" / "mine")
    source = open_adapter("mine", None, shipped=tmp_path / "adapters")
    assert source == Repository("mine", None, tmp_path / "adapters" / "mine")
    _, adapter = merge_adapter(load(base, None).model, source, DEEPEST)
    assert adapter.name == "mine"


@pytest.mark.parametrize("name", ["none", "..", "../adapters", "a/b/c"])
def test_a_name_of_nothing_is_refused(base: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "adapters").mkdir()
    with pytest.raises(Unusable):
        load(base, name)


def test_one_of_the_hub_needs_the_commit_that_was_checked() -> None:
    with pytest.raises(Unusable, match="LORA_REVISION"):
        open_adapter("someone/lora", None)
