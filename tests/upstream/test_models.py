"""What an upstream's list says of a model, and what is not believed."""

from typing import Any

import pytest

from gateway.upstream.models import ListPrice, ModelFacts, facts_of

OPENROUTER = {
    "id": "anthropic/claude-sonnet-4.5",
    "context_length": 1_000_000,
    "pricing": {
        "prompt": "0.000003",
        "completion": "0.000015",
        "request": "0",
        "image": "0.0048",
        "input_cache_read": "0.0000003",
    },
}


def test_openrouters_list_is_read_in_dollars_for_a_million() -> None:
    assert facts_of(OPENROUTER) == ModelFacts(1_000_000, ListPrice(3.0, 15.0, 0.3))


@pytest.mark.parametrize("name", ["context_window", "max_model_len", "max_context_length"])
def test_others_call_the_length_otherwise(name: str) -> None:
    assert facts_of({"id": "m", name: 8192}) == ModelFacts(8192)


@pytest.mark.parametrize("length", [0, -1, True, "8192", 8192.0, None, [], 10**12])
def test_what_is_no_length_is_not_known(length: Any) -> None:
    assert facts_of({"context_length": length}).context_length is None


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        "free",
        {},
        {"prompt": "0.1"},
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "nan", "completion": "0.1"},
        {"prompt": "inf", "completion": "0.1"},
        {"prompt": "cheap", "completion": "0.1"},
        {"prompt": 0.88, "completion": 0.88},  # for a million tokens, at Together
        {"prompt": "2", "completion": "2"},
    ],
    ids=str,
)
def test_what_is_no_price_is_not_known(pricing: Any) -> None:
    assert facts_of({"pricing": pricing}).price is None


def test_what_costs_nothing_costs_nothing() -> None:
    assert facts_of({"pricing": {"prompt": "0", "completion": "0"}}).price == ListPrice(0.0, 0.0)
