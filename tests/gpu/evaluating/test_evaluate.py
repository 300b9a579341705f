"""`python -m retriever evaluate`: what is asked, compared, written, refused.

The model is tiny and random.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.recall import Asked, Question, ranked_by_model, record
from retriever.errors import Unusable
from retriever.evaluating import evaluate, heads
from retriever.evaluating.bars import draw_bars
from retriever.evaluating.records import read_gateway_records
from retriever.evaluating.sampling import FOREIGN, IDLE, askable, sampled
from retriever.judging.dialogues import VARIABLE, Dialogue
from support.retriever_process import RetrieverProcess, retrieving
from support.tiny_retriever import tiny_settings

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jade"]


def dialogue(number: int, messages: int = 30) -> dict[str, Any]:
    """Of six questions, each repeats one message's words; another has no answer here."""
    rng = Random(number)
    said = [" ".join(rng.choices(WORDS, k=12)) for _ in range(messages)]
    questions = [
        {"id": f"q{i}", "kind": ("short", "long")[i % 2], "text": said[i], "evidence": [str(i)]}
        for i in rng.sample(range(messages), 6)
    ]
    silent = {"id": "none", "kind": "abstention", "text": f"zebra {number}?", "evidence": []}
    return {
        "id": f"d{number}",
        "source": "OURS",
        "licence": "CC BY-NC 4.0",
        "messages": [
            {"id": str(i), "role": ("user", "assistant")[i % 2], "text": text}
            for i, text in enumerate(said)
        ],
        "questions": [*questions, silent],
    }


def dialogues(count: int = 3) -> list[Dialogue]:
    return [Dialogue.model_validate(dialogue(number)) for number in range(count)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "dev").mkdir()
    with gzip.open(folder / "dev" / "a.jsonl.gz", "wt") as file:
        file.writelines(f"{json.dumps(dialogue(number))}\n" for number in range(3))
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    told = tiny_settings(tmp_path_factory.mktemp("tiny"))
    profile = Path(told["PROFILE_DIR"]) / "tiny.json"
    profile.write_text(json.dumps({**json.loads(profile.read_text()), "fusion_weight": 1.0}))
    return told


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env of a developer lies
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def arguments(data: Path, settings: dict[str, str], out: Path, *more: str) -> list[str]:
    model = settings["MODEL_NAME"]
    return [
        *(
            "--model",
            model,
            "--data",
            str(data),
            "--device",
            "cpu",
            "--dtype",
            "float32",
            "--out",
            str(out),
        ),
        *("--ablations", *more),
    ]


def lines(out: Path) -> list[dict[str, Any]]:
    """Records without what a clock says."""
    read = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return [{name: one[name] for name in one if name != "seconds"} for one in read]


def summary(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return told


@pytest.fixture(scope="module")
def run(
    data: Path, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        given = arguments(data, settings, out, "--questions", "4", "--foreign", "2")
        evaluate.main(given)
    return out, given


def test_every_method_is_asked_every_question(run: tuple[Path, list[str]]) -> None:
    records = lines(run[0])
    asked = {(one["conversation"], one["question"]) for one in records}
    methods = {one["method"] for one in records}
    assert methods == {
        *(
            "recency",
            "BM25",
            "lexical",
            "selected lexical",
            "heads zero-shot",
            "fused zero-shot",
            "selected zero-shot",
        ),
        *("zero-shot: reciprocal ranks", "zero-shot: nothing lent"),
        *("zero-shot: weight 0.25", "zero-shot: weight 0.5", "zero-shot: weight 2"),
    }
    assert len(records) == len(asked) * len(methods)
    assert {one["kind"] for one in records} >= {"short", "long", FOREIGN, IDLE}


def test_one_conversation_s_first_question_is_told_apart(run: tuple[Path, list[str]]) -> None:
    first = [one["conversation"] for one in lines(run[0]) if one["is_first"]]
    assert sorted(first) == sorted(["d0", "d1", "d2"] * 12)


def test_words_repeated_are_found_by_words(run: tuple[Path, list[str]]) -> None:
    rows = {(one["kind"], one["method"]): one for one in summary(run[0])["rows"]}
    assert rows["all", "BM25"]["figures"]["recall@5"]["value"] == 1
    gain = rows["all", "recency"]["gains"]["mrr"]
    assert gain["high"] < 0
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert rows["all", "BM25"]["gains"]["mrr"]["value"] == 0


def test_a_seed_decides_everything_but_the_seconds(
    run: tuple[Path, list[str]], tmp_path: Path
) -> None:
    out, given = run
    again = [*given, "--out", str(tmp_path / "again")]  # the last one counts
    evaluate.main(again)
    assert lines(tmp_path / "again") == lines(out)
    figures = [
        [(row["method"], row["figures"], row["gains"]) for row in summary(one)["rows"]]
        for one in (out, tmp_path / "again")
    ]
    assert figures[0] == figures[1]
    assert (tmp_path / "again" / "bars.png").read_bytes() == (out / "bars.png").read_bytes()


def test_what_a_model_said_is_not_asked_again(
    run: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("a model read what is known")

    monkeypatch.setattr(heads, "score", read)
    out, given = run
    kept = ["--scores", str(out / "scores.jsonl")]
    evaluate.main([*given, *kept, "--out", str(tmp_path / "again")])
    assert lines(tmp_path / "again") == lines(out)


def test_what_it_depends_on_is_written_beside_the_figures(run: tuple[Path, list[str]]) -> None:
    told = summary(run[0])
    assert len(told["data_sha256"]["a.jsonl.gz"]) == 64
    assert told["models"]["zero-shot"]["dtype"] == "float32"
    assert "torch" in told["packages"]
    assert "commit" in told
    assert told["arguments"]["seed"] == 0
    assert set(told["missing"]) == {"lexical+embedding", "heads adapted", "gateway"}


def test_tables_for_a_readme_have_a_row_for_every_method(run: tuple[Path, list[str]]) -> None:
    told = (run[0] / "tables.md").read_text()
    assert told.startswith("### a, 12 questions\n")
    assert "| BM25 | 1.000 |" in told
    assert "| selected zero-shot |" in told
    assert "Lowest recall@10 of `fused zero-shot`: " in told


def test_results_that_are_there_are_not_overwritten(run: tuple[Path, list[str]]) -> None:
    with pytest.raises(SystemExit, match="--replace"):
        evaluate.main(run[1])


def test_without_data_the_command_says_where_to_put_it(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    given = ["--model", settings["MODEL_NAME"], "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="--data FOLDER"):
        evaluate.main(given)


def test_an_adapter_that_cannot_be_loaded_is_an_error_and_no_missing_row(
    data: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="has no profile"):
        evaluate.main(arguments(data, settings, tmp_path / "out", "--adapter", "nobody-s"))


def gateway_lines(path: Path, ranked: Sequence[str], question: str = "none") -> Path:
    asked = Question(question, "short", "?", frozenset({"1"}))
    outcome = Asked(asked, ranked, 100, 10, 30, 0.25, False, "d0", "gpu")
    path.write_text(json.dumps(record("a", outcome)) + "\n")
    return path


def test_what_the_gateway_chose_stands_beside_the_others(
    data: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    own = next(one for one in dialogue(0)["questions"] if one["evidence"])
    path = gateway_lines(tmp_path / "gw.jsonl", own["evidence"], own["id"])
    given = arguments(data, settings, tmp_path / "out", "--questions", "0")
    evaluate.main([*given, "--gateway-records", str(path), "--conversations", "0"])
    rows = [one for one in summary(tmp_path / "out")["rows"] if one["method"] == "gateway"]
    (row,) = [one for one in rows if one["kind"] == "all"]
    assert row["figures"]["recall@10"] | {"low": 1, "high": 1} == {
        "value": 1, "low": 1, "high": 1, "questions": 1,
    }  # fmt: skip
    assert row["p50_ms"] == 250


def test_a_message_that_nobody_said_is_no_choice_of_the_gateway_s(
    data: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    path = gateway_lines(tmp_path / "gw.jsonl", ["elsewhere"])
    given = arguments(data, settings, tmp_path / "out", "--questions", "0")
    with pytest.raises(SystemExit, match="d0 has no message elsewhere"):
        evaluate.main([*given, "--gateway-records", str(path)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no record"),
        ("{]\n", "line 1"),
        ('{"set": "a"}\n', "line 1: conversation"),
    ],
)
def test_damaged_records_of_the_gateway_are_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "gw.jsonl").write_text(content)
    with pytest.raises(Unusable, match=said):
        read_gateway_records(tmp_path / "gw.jsonl")


def test_a_question_recorded_twice_is_refused(tmp_path: Path) -> None:
    path = gateway_lines(tmp_path / "gw.jsonl", ["1"])
    path.write_text(path.read_text() * 2)
    with pytest.raises(Unusable, match="line 2: question none is there twice"):
        read_gateway_records(path)


def test_the_share_ranked_by_the_model_is_of_all_questions() -> None:
    asked = Question("q", "k", "?", frozenset())
    by = ["gpu", "lexical; reason=small", "gpu", "gpu"]
    outcomes = [Asked(asked, [], 0, 0, 0, 0.0, False, "d0", one) for one in by]
    assert ranked_by_model(outcomes) == 0.75


def sample(**over: Any) -> list[Dialogue]:
    given: dict[str, Any] = {
        "conversations": None, "questions": 3, "foreign": 2, "seed": 1,
        "is_long": lambda one: one.id == "d1", "long_questions": 1,
    }  # fmt: skip
    return sampled({"a": dialogues()}, **{**given, **over})["a"]


def test_a_long_conversation_is_asked_less() -> None:
    assert [len(one.questions) for one in sample()] == [5, 2, 5]
    assert [len(one.questions) for one in sample(questions=None)] == [9, 9, 9]


def test_foreign_questions_have_no_evidence_and_are_not_the_conversation_s_own() -> None:
    for one, whole in zip(sample(), dialogues(), strict=True):
        foreign = [question for question in one.questions if question.kind == FOREIGN]
        own = {question.text for question in whole.questions}
        assert foreign
        assert not any(q.evidence or q.text in own for q in foreign)


def test_a_question_whose_evidence_is_lost_is_not_asked() -> None:
    raw = dialogue(0)
    raw["questions"][0]["evidence"] = ["elsewhere"]
    raw["questions"][1]["kind"] = "adversarial"
    raw["questions"][2]["evidence"] += ["elsewhere"]
    kept = askable(Dialogue.model_validate(raw))
    assert [one.id for one in kept] == [one["id"] for one in raw["questions"][2:]]
    assert len(kept[0].evidence) == 1


def test_a_picture_needs_figures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_bars(tmp_path / "bars.png", [])


def test_the_retriever_s_process_is_ready_once_it_is_started(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with retrieving(tmp_path, **settings) as process:
        assert process.health()["status"] == "ready"
    assert process.health() == {}


def test_a_retriever_that_cannot_be_started_says_why(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    process = RetrieverProcess(tmp_path, {**settings, "MODEL_NAME": str(tmp_path / "nothing")})
    with pytest.raises(RuntimeError, match="no profile"):
        process.start()
