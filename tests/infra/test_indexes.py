"""Firestore's indexes and TTL policies, as Terraform has them, against what the code asks for.

No emulator enforces an index, and a query that lacks one fails in production alone.
"""

import re
from collections.abc import Iterable, Mapping

from gateway.documents.firestore_queries import listing
from gateway.documents.firestore_wire import EXPIRES_AT, ID
from infra.life import Life
from infra.queries import ANY, ROOT, Index, collections, index_for, queries, sources
from support.terraform import CONFIGURATION, Outcome, Resource, named_in

QUERY_WORDS = re.compile(r"run_query|structured_query|collection_group|composite_filter|order_by")
LARGE = {"state": "sessions", "records": "segments", "segments": "owners", "sketches": "owners"}
LARGE_BYTES = 1_000
EXPIRING = named_in("indexes.tf", "expiring")
SWEPT = {"archive"}


def missing(needed: Iterable[Index], resources: Mapping[str, Resource]) -> list[Index]:
    """Those that Terraform does not make. In ANY collection means in every one."""
    unindexed = {one["collection"] for one in _fields(resources, "unindexed")}
    single = {
        Index(one["collection"], ((one["field"].strip("`"), index["order"]),))
        for one in _fields(resources, "id")
        for index in one["index_config"][0]["indexes"]
    }
    composite = {
        Index(
            one["collection"],
            tuple((field["field_path"].strip("`"), field["order"]) for field in one["fields"]),
        )
        for address, one in resources.items()
        if address.startswith("google_firestore_index.")
    }
    made = single | composite
    return [
        each
        for index in needed
        for each in _in_every(index, unindexed)
        if each not in made and (each.composite or each.collection in unindexed)
    ]


def _in_every(index: Index, known: set[str]) -> list[Index]:
    names = sorted(known) if index.collection == ANY else [index.collection]
    return [Index(name, index.fields) for name in names]


def _fields(resources: Mapping[str, Resource], name: str) -> list[Resource]:
    wanted = f"google_firestore_field.{name}["
    return [one for address, one in resources.items() if address.startswith(wanted)]


def needs() -> list[Index]:
    return [index for query in queries() if (index := index_for(query))]


def test_queries_are_made_in_one_place() -> None:
    """Else the others would have to be looked up here too."""
    elsewhere = [
        path.name
        for path, _ in sources()
        if path.name not in ("firestore.py", "firestore_queries.py")
        and QUERY_WORDS.search(path.read_text())
    ]
    assert elsewhere == []


def test_the_code_lists_documents() -> None:
    assert len(queries()) > 10


def test_every_query_has_its_index(tested: Outcome) -> None:
    assert missing(needs(), tested.made["services"]) == []


def test_no_query_needs_a_composite_index() -> None:
    assert [index for index in needs() if index.composite] == []


def test_listing_backwards_has_its_index_in_every_collection(tested: Outcome) -> None:
    backwards = index_for(
        listing(ROOT, "c", after=None, before="x", limit=1, newest_first=True),
    )
    assert backwards == Index("c", ((ID, "DESCENDING"),))
    assert missing([Index(ANY, backwards.fields)], tested.made["services"]) == []


def test_a_query_without_its_index_is_found(tested: Outcome) -> None:
    by_role = {
        "structured_query": {
            "from_": [{"collection_id": "segments"}],
            "where": {
                "composite_filter": {
                    "filters": [{"field_filter": {"field": {"field_path": "role"}, "op": "EQUAL"}}]
                }
            },
            "order_by": [{"field": {"field_path": "at"}, "direction": "DESCENDING"}],
        }
    }
    index = index_for(by_role)
    assert index == Index("segments", (("role", "ASCENDING"), ("at", "DESCENDING")))
    resources = dict(tested.made["services"])
    assert missing([index], resources) == [index]
    resources["google_firestore_index.by_role"] = {
        "collection": "segments",
        "fields": [
            {"field_path": "role", "order": "ASCENDING"},
            {"field_path": "at", "order": "DESCENDING"},
        ],
    }
    assert missing([index], resources) == []


def test_a_field_that_is_exempt_cannot_be_asked_for(tested: Outcome) -> None:
    by_title = Index("sessions", (("title", "ASCENDING"),))
    assert missing([by_title], tested.made["services"]) == [by_title]


def test_names_in_descending_order_need_an_index_of_their_own() -> None:
    descending = [{"field": {"field_path": "__name__"}, "direction": "DESCENDING"}]
    query = {"structured_query": {"from_": [{"collection_id": "c"}], "order_by": descending}}
    index = index_for(query)
    assert index is not None
    assert index.composite


def test_every_collection_is_exempt_but_for_ids(life: Life) -> None:
    written = {document.collection for document in life.documents}
    assert len(written) >= 10
    assert written | collections() <= named_in("indexes.tf", "collections")


def test_what_is_large_is_exempt(life: Life) -> None:
    """The four by name, and whatever else a life leaves behind."""
    large = {
        (name, document.collection)
        for document in life.documents
        for name, value in document.fields.items()
        if len(str(value)) > LARGE_BYTES
    }
    assert large & set(LARGE.items())
    exempt = named_in("indexes.tf", "collections")
    assert {collection for _, collection in large | set(LARGE.items())} <= exempt


def test_what_expires_has_a_policy_and_what_does_not_has_none(life: Life) -> None:
    """The list may name what no life here leaves behind: `staging`, for one."""
    expiring = {document.collection for document in life.documents if document.expires}
    lasting = {document.collection for document in life.documents} - expiring
    assert expiring - SWEPT <= EXPIRING
    assert not lasting & EXPIRING


def test_what_a_legal_hold_keeps_is_deleted_by_the_sweep_alone(life: Life) -> None:
    """Firestore's policies would not ask."""
    assert {document.collection for document in life.documents if document.expires} >= SWEPT
    assert not SWEPT & EXPIRING


def test_the_policy_reads_the_field_that_the_code_writes() -> None:
    text = (CONFIGURATION / "indexes.tf").read_text()
    assert f'field      = "{EXPIRES_AT}"' in text
    assert f'field      = "`{ID}`"' in text
