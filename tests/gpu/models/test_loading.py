"""From settings to a loaded model: what the environment says, and which refusal comes first."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retriever.errors import Unusable
from retriever.models.embedded import EMBEDDED
from retriever.models.loading import (
    CPU_CACHE_BYTES,
    cache_bytes,
    chosen_device,
    chosen_dtype,
    load,
    multiplies_bf16,
)
from retriever.profile import Profile
from retriever.settings import Settings
from support.tiny_models import save_tiny


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from any .env, and with none of the settings set."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    model = save_tiny(tmp_path / "model", "qwen3")
    write_profile(tmp_path / "profiles", str(model))
    return Settings(
        model_name=str(model),
        lora_id="",
        device="cpu",
        dtype="float32",
        profile_dir=tmp_path / "profiles",
    )


def write_profile(folder: Path, model: str, **over: Any) -> None:
    content: dict[str, Any] = {
        "name": "tiny",
        "model": model,
        "heads": ["2-7", "1-0"],
        "window_tokens": 1000,
        "floor": 0.0,
        "user_opener": "",
        "assistant_opener": "",
        "bos": True,
    }
    folder.mkdir(exist_ok=True)
    profile = Profile.model_validate({**content, **over})
    (folder / "tiny.json").write_text(profile.model_dump_json())


def test_a_model_is_loaded_as_deep_as_its_profile_says(settings: Settings) -> None:
    checkpoint, profile = load(settings)
    assert checkpoint.model.config.num_hidden_layers == profile.deepest_layer + 1 == 3
    assert checkpoint.model.dtype == torch.float32


def test_the_default_refuses_before_anything_is_fetched() -> None:
    with pytest.raises(Unusable, match="python -m retriever detect --model mistralai"):
        load(Settings(device="cpu"))


def test_no_gpu_is_said_with_the_way_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unusable, match="set DEVICE=cpu"):
        load(settings.model_copy(update={"device": "cuda"}))
    assert chosen_device(settings.model_copy(update={"device": "auto"})).type == "cpu"


def test_a_head_that_the_model_does_not_have_is_refused(settings: Settings) -> None:
    assert settings.profile_dir is not None
    write_profile(settings.profile_dir, settings.model_name, heads=["1-8", "1-0"])
    with pytest.raises(Unusable, match="no head 1-8"):
        load(settings)


def test_a_window_longer_than_the_models_positions_is_refused(settings: Settings) -> None:
    assert settings.profile_dir is not None
    write_profile(settings.profile_dir, settings.model_name, window_tokens=8000)
    with pytest.raises(Unusable, match="window_tokens"):
        load(settings)


def test_a_bos_that_the_tokenizer_does_not_have_is_refused(settings: Settings) -> None:
    (Path(settings.model_name) / "tokenizer_config.json").unlink()
    with pytest.raises(Unusable, match="no BOS"):
        load(settings)


def test_settings_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_NAME", " someone/tiny ")
    monkeypatch.setenv("LORA_ID", "")
    monkeypatch.setenv("PROFILE_DIR", "")
    monkeypatch.setenv("RETRIEVER_CACHE", "~/models")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings()
    assert (settings.model_name, settings.lora_id, settings.profile_dir) == (
        "someone/tiny",
        "",
        None,
    )
    assert settings.retriever_cache == tmp_path / "models"
    assert settings.device == "cuda"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE", "tpu"),
        ("DTYPE", "int8"),
        ("RETRIEVER_CACHE_BYTES", "-1"),
        ("RETRIEVER_IDLE_SECONDS", "0"),
        ("RETRIEVER_QUEUE", "0"),
        ("RETRIEVER_PORT", "70000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_host_and_port_of_the_gateway_are_not_the_retrievers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("HOST=0.0.0.0\nPORT=8080\n")
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104  and nobody listens there
    settings = Settings()
    assert (settings.retriever_host, settings.retriever_port) == ("127.0.0.1", 8090)


@pytest.mark.parametrize(
    ("given", "adapter", "device"),
    [
        ({}, "qrhead/mistral-7b-retriever", "cuda"),
        ({"MODEL_NAME": "mistralai/Mistral-7B-v0.2"}, "qrhead/mistral-7b-retriever", "cuda"),
        ({"LORA_ID": ""}, "", "cuda"),
        ({"MODEL_NAME": "someone/other"}, "", "cuda"),
        ({"MODEL_NAME": "someone/other", "LORA_ID": "someone/lora"}, "someone/lora", "cuda"),
        ({"MODEL_NAME": EMBEDDED}, "", "auto"),
        ({"MODEL_NAME": EMBEDDED, "DEVICE": "cuda"}, "", "cuda"),
    ],
)
def test_the_default_adapter_is_of_the_default_model_alone(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], adapter: str, device: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.lora_id, settings.device) == (adapter, device)


def test_numbers_are_bf16_where_they_are_multiplied_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for able, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"amx_bf16": able})
        assert chosen_dtype(Settings(), cpu) == dtype
    assert not multiplies_bf16({})
    assert chosen_dtype(Settings(), gpu) == torch.bfloat16
    assert chosen_dtype(Settings(dtype="float32"), gpu) == torch.float32


def test_what_is_kept_has_a_bound() -> None:
    cpu = torch.device("cpu")
    assert cache_bytes(Settings(), cpu) == CPU_CACHE_BYTES
    assert cache_bytes(Settings(retriever_cache_bytes=5), cpu) == 5
