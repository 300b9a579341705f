"""Loading a decoder: only what scores, exactly as the whole model computes it, or not at all."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from support.tiny_models import FAMILIES, LAYERS, Family, save_tiny, tiny_model, tiny_tokenizer

DEEPEST = 2
WEIGHTS = "model.safetensors"
IDS = torch.arange(4, 40)[None]  # (1, rows)
Tensors = dict[str, Tensor]


def load(folder: Path | str, **over: Any) -> Checkpoint:
    asked: dict[str, Any] = {
        "lora_id": None,
        "revision": None,
        "lora_revision": None,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "deepest_layer": DEEPEST,
        "needed_tokens": 8192,
        "cache": Path("not-used"),
    }
    return load_checkpoint(str(folder), **{**asked, **over})


def configure(folder: Path, **over: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **over}))
    return folder


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def is_above(name: str) -> bool:
    return any(f"layers.{layer}." in name for layer in range(DEEPEST + 1, LAYERS))


def split(folder: Path) -> Path:
    """Two files: what scores, and the rest."""
    whole = load_file(folder / WEIGHTS)
    files = {
        name: "model-2.safetensors"
        if is_above(name) or "lm_head" in name
        else "model-1.safetensors"
        for name in whole
    }
    for file in set(files.values()):
        save_file({name: whole[name] for name in whole if files[name] == file}, folder / file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": files}))
    (folder / WEIGHTS).unlink()
    return folder


@torch.no_grad()
def hidden(decoder: Any) -> list[Tensor]:
    """What goes into layers 0 to the deepest; each (1, rows, hidden)."""
    return list(decoder(IDS, output_hidden_states=True).hidden_states[: DEEPEST + 1])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_computes_what_the_whole_model_does(tmp_path: Path, family: Family) -> None:
    loaded = load(save_tiny(tmp_path, family))
    whole: Any = tiny_model(family).model
    decoder: Any = loaded.model
    for ours, theirs in zip(hidden(decoder), hidden(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    deepest, original = decoder.layers[DEEPEST], whole.layers[DEEPEST]
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(deepest.parameters(), original.parameters(), strict=True)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_above_the_deepest_are_not_in_memory(tmp_path: Path, family: Family) -> None:
    model: Any = load(save_tiny(tmp_path, family)).model
    assert len(model.layers) == model.config.num_hidden_layers == DEEPEST + 1
    assert not any(is_above(name) for name in model.state_dict())
    assert len(getattr(model.config, "layer_types", None) or "abc") == DEEPEST + 1


def test_numbers_above_the_deepest_layer_change_nothing(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama")
    before = hidden(load(folder).model)
    rewrite(
        folder,
        lambda whole: {
            name: torch.full_like(value, float("nan")) if is_above(name) else value
            for name, value in whole.items()
        },
    )
    assert all(map(torch.equal, before, hidden(load(folder).model)))


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_of_layers_above_the_deepest_is_never_opened(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = split(save_tiny(tmp_path, "llama"))
    damage(folder / "model-2.safetensors")
    assert all(map(torch.equal, hidden(load(folder).model), hidden(tiny_model("llama").model)))


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_that_is_needed_and_damaged_is_named(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = split(save_tiny(tmp_path, "llama"))
    damage(folder / "model-1.safetensors")
    with pytest.raises(Unusable, match="model-1"):
        load(folder)


@pytest.mark.parametrize(
    "index", ["", "{}", "[]", '{"weight_map": 3}', '{"weight_map": {"norm.weight": "../x"}}']
)
def test_a_damaged_index_is_refused(tmp_path: Path, index: str) -> None:
    folder = split(save_tiny(tmp_path, "llama"))
    (folder / f"{WEIGHTS}.index.json").write_text(index)
    with pytest.raises(Unusable, match="index"):
        load(folder)


def test_a_decoder_saved_without_its_vocabulary_head_is_the_same(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "qwen3")
    rewrite(
        folder,
        lambda whole: {
            name.removeprefix("model."): value
            for name, value in whole.items()
            if "lm_head" not in name
        },
    )
    assert all(map(torch.equal, hidden(load(folder).model), hidden(tiny_model("qwen3").model)))


@pytest.mark.parametrize("place", ["", "layers.1.self_attn."])
def test_what_old_checkpoints_hold_of_their_configuration_is_left_out(
    tmp_path: Path, place: str
) -> None:
    folder = save_tiny(tmp_path, "llama")
    computed = {f"model.{place}rotary_emb.inv_freq": torch.full((8,), 99.0)}
    rewrite(folder, lambda whole: {**whole, **computed})
    assert all(map(torch.equal, hidden(load(folder).model), hidden(tiny_model("llama").model)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: {k: v for k, v in w.items() if "layers.1.mlp.up" not in k}, "lacks.*layers.1"),
        (lambda w: {k: v for k, v in w.items() if "embed" not in k}, "lacks.*embed_tokens"),
        (lambda w: {**w, "model.layers.0.self_attn.q_proj.bias": torch.ones(128)}, "q_proj.bias"),
        (lambda w: {**w, "model.layers.0.self_attn.k_proj.weight": torch.ones(3, 3)}, r"\(3, 3\)"),
        (
            lambda w: {
                k: v.to(torch.float8_e4m3fn) if "layers.0.mlp.up" in k else v for k, v in w.items()
            },
            "quantised",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[Tensors], Tensors], says: str
) -> None:
    folder = rewrite(save_tiny(tmp_path, "llama"), change)
    with pytest.raises(Unusable, match=says):
        load(folder)


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama")
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(Unusable, match="only safetensors"):
        load(folder)


@pytest.mark.parametrize(
    ("family", "over", "is_refused"),
    [
        ("mistral", {"sliding_window": 4096}, True),
        ("mistral", {"sliding_window": 8192}, False),
        ("mistral", {"sliding_window": None}, False),
        ("qwen2", {"sliding_window": 4096, "use_sliding_window": False}, False),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4096}, False),
        (
            "qwen3",
            {
                "use_sliding_window": True,
                "sliding_window": 4096,
                "layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 2,
            },
            True,
        ),
        (
            "qwen3",
            {
                "use_sliding_window": True,
                "sliding_window": 4096,
                "layer_types": ["full_attention"] * 3 + ["sliding_attention"],
            },
            False,
        ),
    ],
)
def test_a_sliding_window_matters_where_it_is_short_and_used(
    tmp_path: Path, family: Family, over: dict[str, Any], is_refused: bool
) -> None:
    folder = configure(save_tiny(tmp_path, family), **over)
    if is_refused:
        with pytest.raises(Unusable, match="4096 tokens back"):
            load(folder)
    else:
        assert load(folder).model.config.sliding_window is None


def test_a_mistral_that_names_no_sliding_window_has_none(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "mistral")
    written = json.loads((folder / "config.json").read_text())
    del written["sliding_window"]
    (folder / "config.json").write_text(json.dumps(written))
    assert load(folder).model.config.sliding_window is None


def test_more_positions_than_it_has_are_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama")
    assert load(folder, needed_tokens=8192)
    with pytest.raises(Unusable, match="8192 positions and 8193 are needed"):
        load(folder, needed_tokens=8193)


def test_a_layer_that_it_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama")
    model: Any = load(folder, deepest_layer=LAYERS - 1).model
    assert len(model.layers) == LAYERS
    with pytest.raises(Unusable, match="4 layers, none numbered 4"):
        load(folder, deepest_layer=LAYERS)


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"model_type": "gpt2"}, "'gpt2'; known are llama"),
        ({"model_type": None}, "known are llama"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
            "dynamic",
        ),
        ({"num_attention_heads": "many"}, "config.json is not usable"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, over: dict[str, Any], says: str
) -> None:
    with pytest.raises(Unusable, match=says):
        load(configure(save_tiny(tmp_path, "llama"), **over))


@pytest.mark.parametrize("model_type", ["llama", "mine"])
def test_code_that_a_model_brings_never_runs(tmp_path: Path, model_type: str) -> None:
    folder, ran = save_tiny(tmp_path / "model", "llama"), tmp_path / "ran"
    (folder / "modeling_mine.py").write_text(f"open({str(ran)!r}, 'w')")
    auto_map = {"AutoConfig": "modeling_mine.Mine", "AutoModel": "modeling_mine.Mine"}
    with pytest.raises(Unusable, match="code of its own"):
        load(configure(folder, auto_map=auto_map, model_type=model_type))
    assert not ran.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff{"])
def test_a_file_that_is_missing_or_damaged_is_refused(
    tmp_path: Path, file: str, content: bytes | None
) -> None:
    folder = save_tiny(tmp_path, "llama")
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    with pytest.raises(Unusable, match=file):
        load(folder)


def test_a_model_of_the_hub_needs_the_commit_that_was_checked() -> None:
    with pytest.raises(Unusable, match="MODEL_REVISION"):
        load("someone/tiny")


@pytest.mark.parametrize("name", ["", "tiny", "./none", "/none/at/all", "a/b/c", "../x", "a b/c"])
def test_a_name_of_nothing_is_refused(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unusable):
        load(name, revision="main")


def test_bf16_is_of_the_weights_and_not_of_the_turns(tmp_path: Path) -> None:
    model: Any = load(save_tiny(tmp_path, "llama"), dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.rotary_emb.inv_freq.dtype == torch.float32
    assert not model.training


def test_its_tokenizer_is_the_one_that_was_saved(tmp_path: Path) -> None:
    tokenizer = load(save_tiny(tmp_path, "llama")).tokenizer
    text = "the thing <|im_start|> é🙂\ud7ff"
    for split_special in (True, False):
        ours, saved = (
            one.encode(text, add_special_tokens=False, split_special_tokens=split_special)
            for one in (tokenizer, tiny_tokenizer())
        )
        assert ours == saved
    assert tokenizer.bos_token_id == 0


def test_what_was_loaded_is_on_record(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nA model.\n")
    loaded = load(folder)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert [(one.file, one.sha256) for one in loaded.sources()] == [(WEIGHTS, digest)]
    assert (loaded.licence, loaded.revision, loaded.adapter) == ("apache-2.0", None, None)


def test_loading_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path, "mistral")
    capfd.readouterr()
    load(folder)
    assert capfd.readouterr() == ("", "")
