"""The queries of the code, read from its source, and the indexes that Firestore wants for each.

All of them are made by two functions of `documents/firestore_queries.py`, from the arguments of
`Documents.list` and `delete_tree`. So the calls are looked up, and their queries made for real.
Rules: https://firebase.google.com/docs/firestore/query-data/index-overview.
"""

import ast
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.documents.firestore_queries import Query, descendants, listing

GATEWAY = Path(__file__).parents[2] / "functions" / "gateway"
ROOT = "projects/p/databases/d/documents"
NAME = "__name__"
ANY = "*"
OWNERS = {"root", "owner_path"}  # what the code calls an owner's path, or makes it with

Ordered = tuple[str, str]
"""A field and its direction."""


@dataclass(frozen=True)
class Index:
    """Of one field Firestore makes it by itself; one of several has to be asked for."""

    collection: str
    fields: tuple[Ordered, ...]

    @property
    def composite(self) -> bool:
        return len(self.fields) > 1 or self.fields == ((NAME, "DESCENDING"),)


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(GATEWAY.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def queries() -> list[Query]:
    """What the code asks, for every way in which it gives or leaves out a bound."""
    made = [descendants(ROOT, path, limit=1) for path in ("owners/o", "owners/o/sessions")]
    for call in _calls("list"):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        newest = given.get("newest_first", ast.Constant(False))
        assert isinstance(newest, ast.Constant), "a direction that is computed cannot be read"
        collection = f"owners/o/{_last_name(call.args[0])}"
        bounds = [(None, "x") if name in given else (None,) for name in ("after", "before")]
        for after, before in itertools.product(*bounds):
            made.append(
                listing(
                    ROOT,
                    collection,
                    after=after,
                    before=before,
                    limit=1,
                    newest_first=bool(newest.value),
                )
            )
    return made


def index_for(query: Query) -> Index | None:
    """What the query needs beyond the index of names in ascending order; None: nothing."""
    asked = query["structured_query"]
    equal, ranged = _filtered(asked)
    ordered = [
        (_path(one["field"]), str(one.get("direction", "ASCENDING")))
        for one in asked.get("order_by", [])
    ]
    known = {field for field, _ in ordered}
    ordered += [(field, "ASCENDING") for field in ranged if field not in known]
    fields = (*((field, "ASCENDING") for field in equal if field not in known), *ordered)
    if len(fields) > 1 and fields[-1] == (NAME, fields[-2][1]):
        fields = fields[:-1]  # every index ends with the name, in its last direction
    if set(fields) <= {(NAME, "ASCENDING")}:
        return None
    return Index(asked["from_"][0].get("collection_id", ANY), fields)


def collections() -> frozenset[str]:
    """The collections that the code writes in paths: after an owner's, or at the beginning."""
    found: set[str] = set()
    for path, module in sources():
        if path.parent.name == "documents":  # knows no collection, but Firestore's own paths
            continue
        stores = "gateway.documents" in path.read_text() or path.name in ("paths.py", "records.py")
        for node in ast.walk(module):
            if isinstance(node, ast.JoinedStr):
                found.update(_collections(node, stores))
    return frozenset(found)


def _calls(verb: str) -> Iterator[ast.Call]:
    """Of the port: its keyword arguments are nobody else's."""
    for path, module in sources():
        if path.parent.name == "documents":
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = ast.unparse(node.func.value)
                if node.func.attr == verb and of.rpartition(".")[2] in ("documents", "_documents"):
                    yield node


def _collections(text: ast.JoinedStr, stores: bool) -> Iterator[str]:
    """The literals in a collection's place, of `f"{root}/NAME/..."` and of `f"NAME/{...}..."`."""
    parts = _template(text).split("/")
    if _begins_at_an_owner(text):
        yield from (part for part in parts[1::2] if part.isidentifier())
    elif stores and len(parts) > 1 and parts[0].isidentifier() and "\0" in parts[1]:
        yield from (part for part in parts[0::2] if part.isidentifier())


def _begins_at_an_owner(text: ast.JoinedStr) -> bool:
    first = text.values[0]
    if not isinstance(first, ast.FormattedValue):
        return False
    value = first.value.func if isinstance(first.value, ast.Call) else first.value
    return isinstance(value, ast.Name) and value.id in OWNERS


def _template(text: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "\0" for part in text.values
    )


def _last_name(argument: ast.expr) -> str:
    """A collection's id where the call says it; else any."""
    if isinstance(argument, ast.JoinedStr):
        last = _template(argument).rpartition("/")[2]
        return last if last.isidentifier() else ANY
    return ANY


def _filtered(asked: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The fields held equal, and those in a range."""
    filters = asked.get("where", {}).get("composite_filter", {}).get("filters", [])
    told = [one["field_filter"] for one in filters]
    equal = [_path(one["field"]) for one in told if one["op"] == "EQUAL"]
    ranged = [_path(one["field"]) for one in told if one["op"] != "EQUAL"]
    return _once(equal), _once(ranged)


def _once(fields: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(fields))


def _path(field: dict[str, str]) -> str:
    return field["field_path"].strip("`")
