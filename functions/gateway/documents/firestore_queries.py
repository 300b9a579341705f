"""The two queries of the store, as requests of `RunQuery`. Pure.

Both need only indexes that every database has: names in ascending order, single fields in both.
"""

from typing import Any

from gateway.documents.base import collection_of
from gateway.documents.firestore_wire import ID, field_path

Query = dict[str, Any]

NAME = {"field_path": "__name__"}
LOWEST_ID = "__id-9223372036854775808__"  # as in Google's recursive deletion, nodejs-firestore


def listing(
    root: str,
    collection: str,
    *,
    after: str | None,
    before: str | None,
    limit: int,
    newest_first: bool,
) -> Query:
    """Names have no descending index and the emulator refuses to do without: `ID` stands in."""
    parent, _, id = collection.rpartition("/")
    field = {"field_path": field_path(ID)} if newest_first else NAME

    def bound(operator: str, id: str) -> Query:
        name = f"{root}/{collection}/{id}"
        value = {"string_value": id} if newest_first else {"reference_value": name}
        return {"field_filter": {"field": field, "op": operator, "value": value}}

    bounds = [bound("GREATER_THAN", after)] if after else []
    bounds += [bound("LESS_THAN", before)] if before else []
    query: Query = {
        "from_": [{"collection_id": id}],
        "order_by": [{"field": field, "direction": "DESCENDING" if newest_first else "ASCENDING"}],
        "limit": limit,
    }
    return _request(root, parent, query, bounds)


def descendants(root: str, path: str, *, limit: int) -> Query:
    """The names of `path` and all beneath, of whatever collection: one range, one query."""
    parent, lower, upper = collection_of(path), path, f"{path}\0"
    if path.count("/") % 2:  # a document: what holds its collection is one further up
        parent = collection_of(parent)
    else:
        lower, upper = f"{lower}/{LOWEST_ID}", f"{upper}/{LOWEST_ID}"

    def bound(operator: str, path: str) -> Query:
        value = {"reference_value": f"{root}/{path}"}
        return {"field_filter": {"field": NAME, "op": operator, "value": value}}

    bounds = [bound("GREATER_THAN_OR_EQUAL", lower), bound("LESS_THAN", upper)]
    query: Query = {
        "select": {"fields": [NAME]},
        "from_": [{"all_descendants": True}],
        "limit": limit,
    }
    return _request(root, parent, query, bounds)


def _request(root: str, parent: str, query: Query, bounds: list[Query]) -> Query:
    """`parent` is the document whose collections are asked, the root when it is empty."""
    if bounds:
        query["where"] = {"composite_filter": {"op": "AND", "filters": bounds}}
    return {"parent": f"{root}/{parent}" if parent else root, "structured_query": query}
