"""What is counted is what is billed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.documents.base import Add, Conflict, Create, Delete, Set, Update
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments


@pytest.fixture
async def metered(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    documents = MeteredDocuments(SqliteDocuments(str(tmp_path / "documents.db")))
    yield documents
    await documents.close()


async def test_every_document_asked_for_is_a_read(metered: MeteredDocuments) -> None:
    await metered.get("c/a", "c/b", "c/missing")
    assert metered.operations == Operations(reads=3)


async def test_each_write_of_a_commit_counts(metered: MeteredDocuments) -> None:
    await metered.commit(
        Create("c/a", {}), Set("c/b", {}), Add("c/c", {"n": 0, "m": 1}), Delete("c/d")
    )
    assert metered.operations == Operations(writes=3, deletes=1)


async def test_a_refused_commit_writes_nothing(metered: MeteredDocuments) -> None:
    with pytest.raises(Conflict):
        await metered.commit(Set("c/a", {}), Update("c/b", {}, "1"))
    assert metered.operations == Operations()


async def test_a_listing_costs_what_it_finds_and_one_at_least(metered: MeteredDocuments) -> None:
    await metered.commit(Create("c/a", {}), Create("c/b", {}), Create("c/c", {}))
    metered.reset()
    await metered.list("c", limit=2)
    await metered.list("empty")
    assert metered.operations == Operations(reads=3)


async def test_a_tree_costs_a_read_and_a_delete_per_document(metered: MeteredDocuments) -> None:
    await metered.commit(Create("c/a", {}), Create("c/a/d/b", {}))
    metered.reset()
    await metered.delete_tree("c/a")
    assert metered.reset() == Operations(reads=2, deletes=2)


async def test_to_find_that_a_tree_is_gone_costs_a_read(metered: MeteredDocuments) -> None:
    await metered.delete_tree("c/a")
    assert metered.operations == Operations(reads=1)


async def test_reset_hands_over_the_counts(metered: MeteredDocuments) -> None:
    await metered.get("c/a")
    assert metered.reset() == Operations(reads=1)
    assert metered.operations == Operations()
