"""The catalogue of models: kept, refreshed, and served stale while the upstream is away."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.documents.base import Set, StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import UpstreamFailed
from gateway.upstream.catalogue import (
    FRESH_SECONDS,
    PATH,
    RETRY_SECONDS,
    STORED_SECONDS,
    Catalogue,
)
from gateway.upstream.models import ListPrice, ModelFacts
from gateway.upstream.openai import OpenAIUpstream, make_client
from limits.clock import Clock
from support.upstream import Answer, LoopbackUpstream

ONE = {"id": "one", "object": "model", "created": 1, "owned_by": "x", "context": 8}
TWO = {"id": "two", "object": "model", "created": 2, "owned_by": "y"}
BOOM = Answer.error(500, "Boom.", "server_error")


def listed(*models: Any) -> Answer:
    return Answer.json({"object": "list", "data": list(models)})


@pytest.fixture
def loopback() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as upstream:
        yield upstream


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "documents.db")))
    yield opened
    await opened.close()


@pytest.fixture
async def upstream(loopback: LoopbackUpstream) -> AsyncIterator[OpenAIUpstream]:
    async with make_client() as client:
        yield OpenAIUpstream(loopback.base_url, None, client, 30.0, 30.0)


@pytest.fixture
def catalogue(upstream: OpenAIUpstream, documents: MeteredDocuments, clock: Clock) -> Catalogue:
    return Catalogue(upstream, documents, clock)


@pytest.fixture
def another(upstream: OpenAIUpstream, documents: MeteredDocuments, clock: Clock) -> Catalogue:
    """A second instance."""
    return Catalogue(upstream, documents, clock)


async def test_a_list_is_asked_for_again_after_five_minutes_and_costs_no_read(
    catalogue: Catalogue, loopback: LoopbackUpstream, documents: MeteredDocuments, clock: Clock
) -> None:
    loopback.queue(listed(ONE), listed(ONE, TWO), path="models")
    assert await catalogue.models() == [ONE]
    clock.now += FRESH_SECONDS - 1
    assert await catalogue.models() == [ONE]
    clock.now += 1
    assert await catalogue.models() == [ONE, TWO]
    assert len(loopback.requests) == 2
    assert (documents.operations.reads, documents.operations.writes) == (0, 0)


async def test_a_stale_copy_is_served_while_the_upstream_errs(
    catalogue: Catalogue, loopback: LoopbackUpstream, clock: Clock
) -> None:
    failures = [BOOM, Answer.html(200), Answer.json({"data": "none"}), Answer.hang_up()]
    loopback.queue(listed(ONE), *failures, listed(TWO), path="models")
    assert await catalogue.models() == [ONE]
    clock.now += FRESH_SECONDS
    for _ in failures:
        assert await catalogue.models() == [ONE]
        clock.now += RETRY_SECONDS
    assert await catalogue.models() == [TWO]


async def test_an_upstream_that_errs_is_asked_once_in_a_while(
    catalogue: Catalogue, loopback: LoopbackUpstream, clock: Clock
) -> None:
    loopback.queue(listed(ONE), BOOM, path="models")
    await catalogue.models()
    clock.now += FRESH_SECONDS
    for _ in range(5):
        assert await catalogue.models() == [ONE]
    assert len(loopback.requests) == 2


async def test_an_instance_that_starts_meanwhile_serves_the_stored_copy(
    catalogue: Catalogue, another: Catalogue, loopback: LoopbackUpstream, clock: Clock
) -> None:
    loopback.queue(listed(ONE), BOOM, listed(TWO), BOOM, path="models")
    assert await catalogue.refresh() == 1
    assert await another.models() == [ONE]
    clock.now += RETRY_SECONDS
    assert await another.models() == [TWO]
    clock.now += FRESH_SECONDS
    assert await another.models() == [TWO]  # its own before the stored one


async def test_without_any_copy_the_upstreams_error_is_told(
    catalogue: Catalogue, loopback: LoopbackUpstream
) -> None:
    loopback.queue(BOOM, path="models")
    with pytest.raises(UpstreamFailed):
        await catalogue.models()


async def test_a_store_that_is_away_as_well_changes_nothing_about_it(
    upstream: OpenAIUpstream, documents: MeteredDocuments, loopback: LoopbackUpstream, clock: Clock
) -> None:
    class Away(MeteredDocuments):
        async def get(self, *paths: str) -> Any:
            raise StoreUnavailable

    loopback.queue(BOOM, path="models")
    with pytest.raises(UpstreamFailed):
        await Catalogue(upstream, Away(documents), clock).models()


async def test_a_refresh_that_fails_leaves_what_was_stored(
    catalogue: Catalogue, another: Catalogue, loopback: LoopbackUpstream
) -> None:
    loopback.queue(listed(ONE), BOOM, BOOM, path="models")
    await catalogue.refresh()
    with pytest.raises(UpstreamFailed):
        await catalogue.refresh()
    assert await another.models() == [ONE]


async def test_a_dry_refresh_stores_nothing(
    catalogue: Catalogue, loopback: LoopbackUpstream, documents: MeteredDocuments
) -> None:
    loopback.queue(listed(ONE, TWO), path="models")
    assert await catalogue.refresh(dry_run=True) == 2
    assert (await documents.get(PATH))[0] is None


async def test_a_list_too_long_for_a_document_keeps_what_openai_names(
    catalogue: Catalogue,
    another: Catalogue,
    loopback: LoopbackUpstream,
    documents: MeteredDocuments,
) -> None:
    long = [{**ONE, "id": f"m{n}", "description": "å" * 5_000} for n in range(400)]
    loopback.queue(listed(*long), BOOM, path="models")
    await catalogue.refresh()
    stored = (await documents.get(PATH))[0]
    assert stored is not None
    assert len(orjson.dumps(stored.fields)) < 900_000
    models = await another.models()
    assert [model["id"] for model in models] == [model["id"] for model in long]
    assert models[0] == {"id": "m0", "object": "model", "created": 1, "owned_by": "x"}


async def test_a_stored_copy_is_replaced_whatever_it_was(
    catalogue: Catalogue, loopback: LoopbackUpstream, documents: MeteredDocuments
) -> None:
    await documents.commit(Set(PATH, {"schema": 0, "other": True}))
    loopback.queue(listed(TWO), path="models")
    await catalogue.refresh()
    stored = (await documents.get(PATH))[0]
    assert stored is not None
    assert orjson.loads(stored.fields["models"]) == [TWO]


PRICED = {**ONE, "context_length": 4096, "pricing": {"prompt": "0.000002", "completion": "0"}}


async def test_facts_of_a_model_come_from_the_stored_list_and_ask_no_upstream(
    catalogue: Catalogue,
    another: Catalogue,
    loopback: LoopbackUpstream,
    documents: MeteredDocuments,
    clock: Clock,
) -> None:
    assert await another.facts("one") == ModelFacts()
    loopback.queue(listed(PRICED), path="models")
    await catalogue.refresh()
    assert await another.facts("one") == ModelFacts()  # it has looked, and looks again in an hour
    clock.now += STORED_SECONDS
    reads = documents.operations.reads
    for _ in range(3):
        assert await another.facts("one") == ModelFacts(4096, ListPrice(2.0, 0.0))
    assert await another.facts("other") == ModelFacts()
    assert documents.operations.reads == reads + 1
    assert len(loopback.requests) == 1


async def test_facts_of_a_list_that_was_just_fetched_cost_no_read(
    catalogue: Catalogue, loopback: LoopbackUpstream, documents: MeteredDocuments
) -> None:
    loopback.queue(listed(PRICED), path="models")
    await catalogue.models()
    assert (await catalogue.facts("one")).context_length == 4096
    assert documents.operations.reads == 0


async def test_facts_are_unknown_while_the_store_is_away(
    upstream: OpenAIUpstream, documents: MeteredDocuments, clock: Clock
) -> None:
    class Away(MeteredDocuments):
        async def get(self, *paths: str) -> Any:
            raise StoreUnavailable

    assert await Catalogue(upstream, Away(documents), clock).facts("one") == ModelFacts()


async def test_a_list_too_long_for_a_document_keeps_lengths_and_prices(
    catalogue: Catalogue, another: Catalogue, loopback: LoopbackUpstream
) -> None:
    long = [{**PRICED, "id": f"m{n}", "description": "x" * 5_000} for n in range(400)]
    loopback.queue(listed(*long), path="models")
    await catalogue.refresh()
    assert await another.facts("m399") == ModelFacts(4096, ListPrice(2.0, 0.0))


async def test_a_stored_list_of_another_time_tells_nothing(
    catalogue: Catalogue, documents: MeteredDocuments
) -> None:
    await documents.commit(Set(PATH, {"schema": 0, "other": True}))
    assert await catalogue.facts("one") == ModelFacts()
