"""The adapter's card: licence, credit, figures, and what it admits."""

import json

import pytest

from retriever.judging.dialogues import Dialogue, Message
from retriever.learning.card import card, licence_of
from retriever.learning.exam import Result
from retriever.learning.plan import Plan
from retriever.learning.progress import Progress


def dialogue(licence: str) -> Dialogue:
    said = Message(id="0", role="user", text="hello")
    return Dialogue(id="d", source="OURS", licence=licence, messages=(said,))


def plan(**over: object) -> Plan:
    start: dict[str, object] = {
        "model": "embedded:tiny",
        "revision": None,
        "profile": "0" * 16,
        "data": {"beam.jsonl.gz": "abc123"},
        "shares": {"beam": 0.5, "lives": 0.5},
        "lives": 10,
        "seed": 4,
        "steps": 100,
        "batch": 4,
        "questions": 4,
        "window": 1000,
        "rate": 3e-4,
        "rank": 16,
        "alpha": 32,
        "dropout": 0.05,
        "targets": ("q_proj", "k_proj"),
        "temperature": 0.01,
        "frame": 0.01,
        "exam_every": 25,
        "exam_stretches": 12,
        "exam_windows": 3,
        "patience": 5,
        "dtype": "float32",
    }
    return Plan(**{**start, **over})  # type: ignore[arg-type]  # whatever a test replaces


def written(progress: Progress, sources: tuple[str, ...] = ("BEAM", "lives")) -> str:
    return card(
        plan(),
        progress,
        licence="cc-by-sa-4.0",
        base_licence="apache-2.0",
        sources=sources,
        heads=["1-2"],
        command="python -m retriever train --seed 4",
        versions={"torch": "2.13.0"},
        held_out={"beam": 3, "lives": 6},
    )


def course() -> Progress:
    before = Result({"beam": [0.5, 0.5], "lives": [0.0, 0.5]})
    after = Result({"beam": [0.25, 0.25], "lives": [1.0, 1.0]})
    return Progress(50, [2.0] * 50, [(0, before), (25, after), (50, before)], best=25)


def test_the_card_has_figures_data_seed_and_command() -> None:
    text = written(course())
    for part in (
        "license: cc-by-sa-4.0",
        "| lives | 6 | 2 | 0.250 | 1.000 |",
        "| mean | 9 | 4 | 0.375 | 0.625 |",
        "gain 0.250 (",
        "`beam.jsonl.gz`: `abc123`",
        "25 of 100 planned steps were kept, 50 made",
        "seed 4",
        "python -m retriever train --seed 4",
        "torch 2.13.0",
    ):
        assert part in text


def test_data_under_share_alike_are_credited() -> None:
    assert "CC BY-SA 4.0: its chats and questions were used for training" in written(course())
    assert "Tavakoli" not in written(course(), ("lives",))


def test_the_card_admits_where_it_became_worse() -> None:
    text = written(course())
    assert "- beam: worse than the base model there." in text
    assert "- lives: worse" not in text


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["MIT"], "mit"),
        (["MIT", "CC BY-SA 4.0"], "cc-by-sa-4.0"),
        (["CC BY-SA 4.0", "CC BY-NC 4.0"], "cc-by-nc-4.0"),
    ],
)
def test_the_strictest_licence_of_the_data_is_the_adapters(
    licences: list[str], expected: str
) -> None:
    assert licence_of([dialogue(one) for one in licences]) == expected


def test_a_licence_that_nothing_is_known_of_is_no_adapters() -> None:
    with pytest.raises(ValueError, match="GPL"):
        licence_of([dialogue("GPL-3.0")])


def test_the_rate_warms_up_and_falls() -> None:
    rates = [plan().rate_at(step) for step in range(101)]
    assert rates[0] < rates[4] == pytest.approx(3e-4)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[100] == pytest.approx(3e-5)


def test_a_plan_is_written_as_json_gives_it_back() -> None:
    assert json.loads(json.dumps(plan().written())) == plan().written()
