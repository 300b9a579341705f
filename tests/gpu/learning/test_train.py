"""`python -m retriever train`: a whole course of a tiny random model, and what is refused."""

import gzip
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from retriever.judging.dialogues import Dialogue
from retriever.learning import train
from retriever.learning.course import Course
from retriever.learning.lives import lives
from retriever.learning.lora import add_lora, save_adapter
from retriever.learning.progress import FILE, Progress
from retriever.learning.pupil import Pupil
from retriever.models.adapter import CONFIG, WEIGHTS
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.profile import Head
from retriever.reading.prompt import Prompt
from support.readers import Form, desk
from support.tiny_models import tiny_tokenizer
from support.tiny_retriever import tiny_settings

HEADS = (Head(1, 3), Head(2, 5))
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
TEXTS = ("user: the cat sleeps on the warm stove", "user: we painted the kitchen last week")
QUERY = "what was painted?"


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiny_settings(tmp_path_factory.mktemp("retriever"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("dialogues"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    monkeypatch.delenv("MEMORY_OPS_DIALOGUES", raising=False)


@pytest.fixture
def asked(retriever: dict[str, str], data: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """The arguments of a short course; those given last count."""

    def arguments(*more: str) -> list[str]:
        model = ["--model", retriever["MODEL_NAME"], "--profiles", retriever["PROFILE_DIR"]]
        where = ["--data", str(data), "--sets", "ours", "--out", str(tmp_path / "out")]
        size = ["--lives", "6", "--window", "1200", "--batch", "1", "--steps", "4", "--rank", "2"]
        exams = ["--exam-every", "2", "--exam-stretches", "2", "--exam-windows", "1"]
        return [*model, *where, *size, *exams, "--device", "cpu", *more]

    return arguments


def write_data(folder: Path, licence: str = "CC BY-SA 4.0", source: str = "BEAM") -> Path:
    (folder / "train").mkdir(parents=True, exist_ok=True)
    told = [life.model_copy(update={"licence": licence, "source": source}) for life in lives(6, 9)]
    lines = "\n".join(one.model_dump_json() for one in told)
    (folder / "train" / "ours.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


def checkpoint(retriever: dict[str, str], adapter: Path | None = None) -> Checkpoint:
    """As the server loads it: with the adapter merged."""
    return load_checkpoint(
        retriever["MODEL_NAME"],
        lora_id=str(adapter) if adapter else None,
        revision=None,
        lora_revision=None,
        device=torch.device("cpu"),
        dtype=torch.float32,
        deepest_layer=2,
        needed_tokens=1024,
        cache=Path("not-used"),
    )


def served(retriever: dict[str, str], adapter: Path | None = None) -> list[float]:
    model = checkpoint(retriever, adapter).model
    return desk(None, HEADS, decoder_model=model).rank(TEXTS, QUERY)[0]


def course(arguments: list[str]) -> Course:
    given = train.parser().parse_args(arguments)
    ground = train.ground_of(given)
    return train.course_of(train.plan_of(given, ground), ground, given.out)


def run(course: Course, stop_after: int | None = None) -> Course:
    """Interrupted, as by Ctrl-C, after so many steps."""

    def after_step(progress: Progress) -> None:
        if progress.step == stop_after:
            raise KeyboardInterrupt

    course.run(after_step, lambda _: None)
    return course


def test_a_course_leaves_an_adapter_a_card_and_a_picture(
    asked: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(asked("--seed", "3"))
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {CONFIG, WEIGHTS, "README.md", "curve.png"}
    card = (out / "README.md").read_text("utf-8")
    assert card.startswith("---\nlicense: cc-by-sa-4.0\n")
    assert "Tavakoli" in card
    assert "python -m retriever train --model" in card
    assert "--seed 3" in card
    assert "--data" not in card
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "detect" in capsys.readouterr().out


def test_a_trained_adapter_merges_into_what_was_trained(
    retriever: dict[str, str], tmp_path: Path
) -> None:
    """Trained beside the weights, saved, read as the server reads it: the same scores."""
    model = checkpoint(retriever).model
    parameters = add_lora(model, 2, 4, 0.0, TARGETS, seed=1)
    pupil = Pupil(model, HEADS, Prompt(tiny_tokenizer(), Form(), bos=0))
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        wrong: Any = pupil.scores(TEXTS, [QUERY])[0, 0] - pupil.scores(TEXTS, [QUERY])[0, 1]
        wrong.backward()
        optimizer.step()
    where = tmp_path / "adapter"
    save_adapter(where, parameters, base="tiny", rank=2, alpha=4, targets=TARGETS, layers=3)
    trained = pupil.scores(TEXTS, [QUERY])[0].tolist()
    assert served(retriever, where) == pytest.approx(trained, abs=1e-5)
    plain = served(retriever)
    assert trained[1] - trained[0] > plain[1] - plain[0] + 1e-3


def test_a_course_that_was_stopped_ends_as_one_that_was_not(
    asked: Callable[..., list[str]], tmp_path: Path
) -> None:
    whole = run(course(asked("--out", str(tmp_path / "whole"), "--dropout", "0.2")))
    arguments = asked("--out", str(tmp_path / "stopped"), "--dropout", "0.2")
    with pytest.raises(KeyboardInterrupt):
        run(course(arguments), stop_after=3)
    resumed = course(arguments)
    resumed.resume()
    assert resumed.progress.step == 3
    run(resumed)
    assert resumed.progress == whole.progress
    left, right = (load_file(tmp_path / name / FILE) for name in ("whole", "stopped"))
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, atol=1e-6, rtol=0)


def test_a_course_ends_when_exams_get_no_better(asked: Callable[..., list[str]]) -> None:
    """At a rate that changes nothing, no exam is better than the first."""
    ended = run(course(asked("--rate", "1e-12", "--steps", "50", "--patience", "2")))
    assert ended.progress.step == 4
    assert ended.progress.best == 0
    assert [step for step, _ in ended.progress.exams] == [0, 2, 4]


def test_a_stopped_course_is_told_how_to_go_on_and_not_written_over(
    asked: Callable[..., list[str]],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(course(asked()), stop_after=1)
    with pytest.raises(SystemExit, match="holds a course that was stopped: --resume"):
        train.main(asked())


def test_a_job_that_is_told_to_end_is_interrupted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), train.terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_course_goes_on_with_its_own_plan_only(asked: Callable[..., list[str]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(course(asked()), stop_after=1)
    with pytest.raises(SystemExit, match="another rank"):
        train.main(asked("--resume", "--rank", "4"))
    with pytest.raises(SystemExit, match="another steps"):
        train.main(asked("--resume", "--steps", "5"))


def test_damaged_progress_is_refused(asked: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / FILE).write_bytes(b"torn")
    with pytest.raises(SystemExit, match="is damaged"):
        train.main(asked("--resume"))


def test_a_folder_that_holds_something_is_not_written_into(
    asked: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match="is not empty"):
        train.main(asked())


def test_data_that_forbid_business_are_refused(
    asked: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = write_data(tmp_path / "nc", "CC BY-NC 4.0: evaluation only", "LoCoMo")
    with pytest.raises(SystemExit, match="licensed CC BY-NC"):
        train.main(asked("--data", str(folder)))


def test_a_licence_that_nothing_is_known_of_is_refused(
    asked: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = write_data(tmp_path / "odd", "all rights reserved", "a drawer")
    with pytest.raises(SystemExit, match="all rights reserved"):
        train.main(asked("--data", str(folder)))


def test_modules_that_the_model_has_not_are_refused(asked: Callable[..., list[str]]) -> None:
    with pytest.raises(SystemExit, match="no adapter goes into"):
        train.main(asked("--targets", "z_proj"))


def test_a_window_that_holds_nothing_is_refused(asked: Callable[..., list[str]]) -> None:
    with pytest.raises(SystemExit, match="hold no evidence"):
        train.main(asked("--window", "40"))


def test_lives_alone_need_no_data(asked: Callable[..., list[str]], tmp_path: Path) -> None:
    arguments = [one for one in asked("--sets") if one != "--data"]
    arguments.remove("ours")
    train.main([one for one in arguments if "dialogues" not in one])
    assert "license: mit" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_lives_are_the_repositorys_own(data: Path) -> None:
    assert all(isinstance(one, Dialogue) and one.licence == "MIT" for one in lives(3, 0))


def test_the_command_in_the_card_names_no_place_of_the_writer() -> None:
    written = train.command(
        ["--out", "/home/me/x", "--data=/data", "--seed", "4", "--resume", "--steps=9"]
    )
    assert written == "python -m retriever train --seed 4 --steps=9"
