"""The arithmetic of `make eval`: what its figures mean."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.recall import Asked, Question, as_given, by_kind, parse_at, percentile, recall_at

IDS = st.lists(st.sampled_from("abcdefgh"), unique=True)


def asked(kind: str, evidence: str, ranked: str, *, is_first: bool = False) -> Asked:
    question = Question("q", kind, "?", frozenset(evidence))
    return Asked(question, list(ranked), 1000, 10, 30, 0.004, is_first)


def test_recall_is_the_share_of_the_evidence_among_the_best_lines() -> None:
    assert recall_at("abcd", "bdz", 2) == pytest.approx(1 / 3)
    assert recall_at("abcd", "bdz") == pytest.approx(2 / 3)


@given(ranked=IDS, evidence=IDS.filter(len), k=st.integers(0, 9))
def test_recall_grows_with_every_line(ranked: list[str], evidence: list[str], k: int) -> None:
    assert 0 <= recall_at(ranked, evidence, k) <= recall_at(ranked, evidence, k + 1)
    assert recall_at(ranked, evidence, k + 1) <= recall_at(ranked, evidence) <= 1


@given(st.lists(st.floats(0, 9), min_size=1), st.floats(0, 1))
def test_a_percentile_is_a_measured_value(values: list[float], share: float) -> None:
    assert percentile(values, share) in values


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1:56 pm on 8 May, 2023", datetime(2023, 5, 8, 13, 56, tzinfo=UTC)),
        ("12:48 am on 1 February, 2023", datetime(2023, 2, 1, 0, 48, tzinfo=UTC)),
        ("March-03-2024", datetime(2024, 3, 3, tzinfo=UTC)),
        (None, None),
    ],
)
def test_every_set_s_dates_are_read(text: str | None, time: datetime | None) -> None:
    assert parse_at(text) == time


def test_an_unknown_date_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        parse_at("the day before")


def test_a_message_is_told_with_its_speaker_its_day_and_its_place() -> None:
    message = {"role": "user", "speaker": "Mel", "at": "1:56 pm on 8 May, 2023", "text": "Hi!"}
    assert as_given(message, 3) == {
        "role": "user",
        "content": "Mel: Hi!",
        "session_id": "2023-05-08T13:56",
        "at": "2023-05-08T13:56:03+00:00",
    }


def test_a_message_of_no_day_belongs_to_one_meeting_and_keeps_no_time() -> None:
    message = {"role": "user", "speaker": None, "at": None, "text": "OK ."}
    assert as_given(message, 3) == {"role": "user", "content": "OK .", "session_id": "meeting"}


def test_questions_that_nothing_answers_stay_out_of_recall() -> None:
    rows = by_kind([asked("fact", "a", "ab"), asked("fact", "z", ""), asked("abstention", "", "a")])
    assert rows["all"]["questions"] == 2
    assert rows["all"]["r@5"] == 0.5
    assert rows["fact"]["nothing"] == 0.5
    assert "r@5" not in rows["abstention"]


def test_saved_is_the_whole_past_less_what_was_injected() -> None:
    row = by_kind([asked("fact", "a", "a")])["fact"]
    assert (row["before"], row["after"], row["saved"], row["injected"]) == (1010, 30, 980, 20)


def test_the_first_question_s_latency_is_told_apart() -> None:
    rows = by_kind([asked("fact", "a", "a", is_first=True), asked("other", "a", "a")])
    assert "p50_ms" not in rows["fact"]
    assert rows["other"]["p50_ms"] == 4.0
