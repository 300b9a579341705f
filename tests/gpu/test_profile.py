"""Profiles: which are found for whom, what their digest covers, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retriever.errors import Unusable
from retriever.models.sentences import MINILM
from retriever.profile import SHIPPED, Head, Profile, find_profile, profile_folders
from retriever.settings import Settings

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "model": "someone/tiny",
    "adapter": None,
    "heads": ["2-7", "1-0"],
    "window_tokens": 1000,
    "floor": 0.5,
    "fusion_weight": 1.0,
    "user_opener": "<|im_start|>user\n",
    "assistant_opener": "<|im_end|>\n<|im_start|>assistant\n",
    "bos": False,
}


def profile(**over: Any) -> Profile:
    return Profile.model_validate({**CONTENT, **over})


def write(folder: Path, file: str = "tiny.json", **over: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(json.dumps({**CONTENT, **over}))
    return folder


@pytest.mark.parametrize(
    ("model", "heads", "deepest"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.2", 8, 18),
        ("meta-llama/Llama-3.1-8B-Instruct", 16, 17),
        ("meta-llama/Llama-3.2-3B-Instruct", 16, 21),
        ("Qwen/Qwen3-4B-Instruct-2507", 16, 24),
    ],
)
def test_published_heads_ship_with_the_commit_they_belong_to(
    model: str, heads: int, deepest: int
) -> None:
    found = find_profile(model, None, [SHIPPED])
    assert (len(found.heads), found.deepest_layer) == (heads, deepest)
    assert found.revision is not None
    assert found.fusion_weight is None


def test_profiles_that_ship_differ_in_digest() -> None:
    shipped = [Profile.model_validate_json(path.read_bytes()) for path in SHIPPED.glob("*.json")]
    assert len({one.digest for one in shipped}) == len(shipped) >= 4


def test_the_default_model_has_no_profile_and_is_told_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # away from any .env
    for name in ("MODEL_NAME", "LORA_ID"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings()
    with pytest.raises(Unusable) as refused:
        find_profile(settings.model_name, settings.lora_id, profile_folders(None))
    assert (
        "python -m retriever detect --model mistralai/Mistral-7B-v0.2 "
        "--adapter qrhead/mistral-7b-retriever"
    ) in str(refused.value)


def test_a_base_models_profile_is_not_used_for_it_with_an_adapter(tmp_path: Path) -> None:
    write(tmp_path)
    assert find_profile("someone/tiny", None, [tmp_path]).heads == (Head(2, 7), Head(1, 0))
    with pytest.raises(Unusable, match="--adapter someone/lora"):
        find_profile("someone/tiny", "someone/lora", [tmp_path])


def test_an_adapters_profile_is_not_used_for_the_base_alone(tmp_path: Path) -> None:
    write(tmp_path, adapter="someone/lora")
    assert find_profile("someone/tiny", "someone/lora", [tmp_path]).adapter == "someone/lora"
    with pytest.raises(Unusable, match=r"detect --model someone/tiny$"):
        find_profile("someone/tiny", None, [tmp_path])


def test_an_empty_adapter_is_none(tmp_path: Path) -> None:
    write(tmp_path, adapter="")
    assert find_profile("someone/tiny", "", [tmp_path]).adapter is None


def test_other_ids_of_the_same_weights_find_it(tmp_path: Path) -> None:
    write(tmp_path, also=["mirror/tiny"])
    assert find_profile("mirror/tiny", None, [tmp_path]).name == "tiny"


def test_the_first_folder_that_has_one_decides(tmp_path: Path) -> None:
    own, shipped = write(tmp_path / "own", name="own"), write(tmp_path / "shipped")
    assert find_profile("someone/tiny", None, [own, shipped]).name == "own"
    assert find_profile("someone/tiny", None, [tmp_path / "none", shipped]).name == "tiny"


def test_two_profiles_of_one_folder_are_ambiguous(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    write(tmp_path, "b.json")
    with pytest.raises(Unusable, match=r"a\.json.*b\.json"):
        find_profile("someone/tiny", None, [tmp_path])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"name": "x"}'])
def test_a_file_that_is_no_profile_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(Unusable, match=r"broken\.json is no profile"):
        find_profile("someone/tiny", None, [tmp_path])


def test_a_profile_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="PROFILE_DIR"):
        profile_folders(tmp_path / "none")


@pytest.mark.parametrize(
    "over",
    [
        {"heads": []},
        {"heads": ["2-7", "2-7"]},
        {"heads": [[-1, 2]]},
        *({"heads": [head]} for head in ("15", "15-", "-15", "a-b", "1-2-3", "1–2", "²-1", "")),
        {"window_tokens": 0},
        {"chunk_tokens": 0},
        {"query_tokens": -1},
        {"chunk_tokens": 1001},
        {"floor": float("nan")},
        {"fusion_weight": 0},
        {"fusion_weight": float("inf")},
        {"revision": "main"},
        {"model": ""},
        {"windows": 3},
    ],
)
def test_what_makes_no_sense_is_refused(over: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        profile(**over)


def test_it_is_read_as_it_was_written() -> None:
    written = profile(also=["mirror/tiny"], adapter="someone/lora")
    assert Profile.model_validate_json(written.model_dump_json()) == written
    assert '"2-7"' in written.model_dump_json()


@pytest.mark.parametrize(
    "over",
    [
        {"name": "other"},
        {"also": ["mirror/tiny"]},
        {"floor": 0.1},
        {"fusion_weight": None},
        {"note": "measured again"},
        {"heads": ["1-0", "2-7"]},
    ],
)
def test_what_changes_no_score_does_not_change_the_digest(over: dict[str, Any]) -> None:
    assert profile(**over).digest == profile().digest


@pytest.mark.parametrize(
    "over",
    [
        {"model": "someone/other"},
        {"revision": "0" * 40},
        {"adapter": "someone/lora"},
        {"heads": ["2-7", "1-1"]},
        {"window_tokens": 999},
        {"chunk_tokens": 299},
        {"query_tokens": 255},
        {"user_opener": "[INST]"},
        {"assistant_opener": "[/INST]"},
        {"bos": True},
    ],
)
def test_what_changes_scores_changes_the_digest(over: dict[str, Any]) -> None:
    assert profile(**over).digest != profile().digest


def test_the_digest_is_the_same_in_every_process() -> None:
    assert profile().digest == "1198f948e654768e"


EMBEDDING = {"model": "embedded:all-minilm-l6-v2", "weight": 1.5, "floor": 0.45}


def test_an_embedding_beside_the_heads_changes_no_score_of_theirs(tmp_path: Path) -> None:
    plain, beside = write(tmp_path / "a"), write(tmp_path / "b", embedding=EMBEDDING)
    one, other = (find_profile("someone/tiny", None, [folder]) for folder in (plain, beside))
    assert one.embedding is None
    assert other.embedding is not None
    assert (other.embedding.weight, other.embedding.asked_share) == (1.5, 1.0)
    assert other.digest == one.digest


@pytest.mark.parametrize(
    "wrong", [{"weight": 0}, {"asked_share": 0}, {"asked_share": 1.5}, {"model": ""}, {"more": 1}]
)
def test_an_embedding_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = write(tmp_path, embedding={**EMBEDDING, **wrong})
    with pytest.raises(Unusable, match="embedding"):
        find_profile("someone/tiny", None, [folder])


def test_the_embedded_models_profiles_name_the_embedding_that_is_installed_with_it() -> None:
    for adapter in (None, "smollm2-135m-recall"):
        found = find_profile("embedded:smollm2-135m-instruct", adapter, profile_folders(None))
        assert found.embedding is not None
        assert found.embedding.model == MINILM
