"""Importance: the formula, at the ages that retention decides by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retention.importance import importance, retention, salience

PLAIN = "the weather turned out fine"  # no cue: salience 0.1


@pytest.mark.parametrize(
    ("role", "uses", "at_29", "at_30", "at_31", "at_120"),
    [
        ("user", 0, 0.2626, 0.2605, 0.2586, 0.2400),
        ("user", 6, 0.5054, 0.5017, 0.4980, 0.3133),
        ("assistant", 0, 0.1426, 0.1405, 0.1386, 0.1200),
        ("assistant", 6, 0.3854, 0.3817, 0.3780, 0.1933),
        ("tool", 0, 0.1026, 0.1005, 0.0986, 0.0800),
        ("tool", 6, 0.3454, 0.3417, 0.3380, 0.1533),
        ("system", 0, 0.0626, 0.0605, 0.0586, 0.0400),
        ("system", 6, 0.3054, 0.3017, 0.2980, 0.1133),
    ],
)
def test_the_formula_by_role_age_and_use(
    role: str, uses: int, at_29: float, at_30: float, at_31: float, at_120: float
) -> None:
    expected = {29: at_29, 30: at_30, 31: at_31, 120: at_120}
    for days, value in expected.items():
        found = importance(role=role, text=PLAIN, idle_days=days, uses=uses)
        assert found.value == pytest.approx(value, abs=1e-4)


def test_a_pin_outweighs_everything_and_an_override_the_formula() -> None:
    pinned = importance(role="tool", text="", idle_days=900, pinned=True, override=0.1)
    assert (pinned.value, pinned.reason) == (1.0, "pinned")
    given_one = importance(role="user", text=PLAIN, idle_days=0, override=0.05)
    assert (given_one.value, given_one.reason) == (0.05, "override")


@pytest.mark.parametrize("text", ["ok", "Thanks!", "yes.", "  ", "", "Danke", "go on"])
def test_an_acknowledgement_is_not_salient(text: str) -> None:
    assert salience(text) == 0.0


def test_what_asks_to_be_remembered_is_salient_in_more_than_one_language() -> None:
    for text in (
        "Remember that I park on level 3",
        "Kom ihåg att jag bor i Uppsala",
        "记住我的名字",
    ):
        assert salience(text) >= 0.5


def test_a_repeated_message_matters_less() -> None:
    text = "My dog is called Rex and he is 3 years old"
    assert salience(text, repeated=True) < salience(text)


@given(st.floats(0, 10_000), st.integers(0, 50))
def test_retention_falls_with_time_and_rises_with_use(idle_days: float, uses: int) -> None:
    now = retention(idle_days, uses)
    assert 0 <= now <= 1
    assert retention(idle_days + 1, uses) <= now <= retention(idle_days, uses + 1)


@given(st.text(max_size=400))
def test_salience_stays_between_nought_and_one(text: str) -> None:
    assert 0 <= salience(text) <= 1
