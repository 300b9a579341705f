"""A model's price and length: the upstream's own, else those of the settings."""

import pytest

from gateway.chat.economics import Prices
from gateway.chat.models import KnownModel, Models, PriceList
from gateway.upstream.models import ListPrice, ModelFacts

SET = Prices(2.0, 0.5, 8.0, retriever_hour=1.0, cached_from=64)
LIST = PriceList(SET, retriever_hour=1.0, cached_from=64)


@pytest.mark.parametrize(
    ("facts", "prices"),
    [
        (ModelFacts(), SET),
        (ModelFacts(8192), SET),
        (ModelFacts(None, ListPrice(3.0, 15.0)), Prices(3.0, 3.0, 15.0, 1.0, 64)),
        (ModelFacts(None, ListPrice(3.0, 15.0, 0.3)), Prices(3.0, 0.3, 15.0, 1.0, 64)),
    ],
)
def test_the_upstreams_price_comes_before_that_of_the_settings(
    facts: ModelFacts, prices: Prices
) -> None:
    assert LIST.of("m", facts) == prices


def test_without_either_no_money_is_told() -> None:
    assert PriceList().of("m", ModelFacts(8192)) is None


async def test_a_model_nobody_lists_takes_anything() -> None:
    assert (await Models(None, PriceList()).known("m")).takes(10**9)


def test_what_could_fit_by_another_tokenizer_is_not_refused() -> None:
    model = KnownModel(8000)
    assert model.takes(10_000)
    assert not model.takes(10_001)
    error = model.too_long(10_001).body()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["message"].startswith("This model's maximum context length is 8000 tokens.")
