"""What goes to Firestore comes back as it was."""

import json
import re
from typing import Any

import pytest
from google.cloud.firestore_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import firestore_wire as wire
from gateway.documents.base import Add, Conflict, Create, Delete, Document, Set, Update, Write

ROOT = "projects/p/databases/(default)/documents"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
NAMES = TEXT | st.from_regex(re.compile(r"[~_]{0,4}[a\n\[\]]{0,2}_{0,3}"), fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def message(write: Write) -> Any:
    made: Any = types.Write.pb()()
    wire.put_write(made, ROOT, write)
    return made


def read(write: Create | Set | Update) -> Document:
    """The document that Firestore would make of `write`."""
    return wire.document_of(ROOT, message(write).update)


@given(st.dictionaries(NAMES | st.just("expires_at"), JSON, max_size=6))
def test_any_fields_come_back_as_they_went(fields: dict[str, Any]) -> None:
    for write in (Set("c/a", fields), Create("c/a", fields, expires_at=1.5)):
        found = read(write)
        assert json.dumps(found.fields, sort_keys=True) == json.dumps(fields, sort_keys=True)
        assert found.path == "c/a"


@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_no_name_and_no_list_is_one_that_firestore_refuses(fields: dict[str, Any]) -> None:
    def check(value: Any) -> None:
        if value.WhichOneof("value_type") == "map_value":
            check_all(value.map_value.fields)
        for item in value.array_value.values:
            assert item.WhichOneof("value_type") != "array_value"
            check(item)

    def check_all(values: Any) -> None:
        for name, value in values.items():
            assert name
            assert not re.fullmatch("__.*__", name, re.DOTALL)
            check(value)

    check_all(message(Set("c/a", fields)).update.fields)


@given(st.integers(1_000_000, 253_402_300_799_999_999))  # until the year 9999, as Firestore
def test_a_version_is_exact(microseconds: int) -> None:
    stored: Any = types.Document.pb()(name=f"{ROOT}/c/a")
    stored.update_time.seconds, left = divmod(microseconds, 1_000_000)
    stored.update_time.nanos = left * 1000
    version = wire.document_of(ROOT, stored).version
    for write in (Update("c/a", {}, version), Delete("c/a", version)):
        assert message(write).current_document.update_time == stored.update_time


@pytest.mark.parametrize(
    "version", ["", "1", "1970-01-01T00:00:00Z", "2026-01-01T00:00:00.1234567Z"]
)
def test_a_version_that_firestore_never_gave_is_stale(version: str) -> None:
    with pytest.raises(Conflict):
        message(Update("c/a", {}, version))


@given(st.integers(0, 4_000_000_000_000_000))
def test_an_expiry_is_exact_to_the_microsecond(microseconds: int) -> None:
    expires_at = microseconds / 1_000_000
    assert read(Set("c/a", {}, expires_at)).expires_at == expires_at


@given(NAMES)
def test_a_field_path_is_read_as_one_name(name: str) -> None:
    """As the grammar of https://firebase.google.com/docs/firestore/reference/rest/Shared.Types."""
    path = wire.field_path(name)
    assert re.fullmatch(r"`(?:[^`\\]|\\.)*`", path, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", path[1:-1], flags=re.DOTALL) == name


def test_preconditions_are_those_of_the_kind_of_write() -> None:
    kinds: dict[str, Write] = {
        "create": Create("c/a", {}),
        "set": Set("c/a", {}),
        "delete": Delete("c/a"),
        "add": Add("c/a", {"n": 1}),
    }
    preconditions = {
        kind: message(write).current_document.WhichOneof("condition_type")
        for kind, write in kinds.items()
    }
    assert preconditions == {"create": "exists", "set": None, "delete": None, "add": None}
    assert message(kinds["create"]).current_document.exists is False


def test_an_add_replaces_nothing_it_does_not_name() -> None:
    made = message(Add("c/a", {"n": 1}, drop=["a.b"], expires_at=2.0))
    assert set(made.update_mask.field_paths) == {"`~id`", "`a.b`", "`expires_at`"}
    assert set(made.update.fields) == {"~id", "expires_at"}
    assert [each.field_path for each in made.update_transforms] == ["`n`"]


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        message(Set("c/a", {"value": value}))


def test_an_integer_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        message(Set("c/a", {"value": 2**63}))
