"""What every implementation of the storage port keeps."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.documents.base import (
    Add,
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    Set,
    Update,
    Write,
    Written,
)

NAMES = [
    "a.b/c d",
    "`quoted` \\ `",
    "naïve漢\U0001f9e0",
    "line\nbreak",
    "",
    "~",
    "~a",
    "~~",
    "~[]",
    "~replaces",
    "id",
    "~id",
    "__name__",
    "____",
    "__a\nb__",
    "expires_at",
    "~expires_at",
    "1",
]
MISSING = {"missing", "stale"}  # Firestore does not tell which


async def fields_of(documents: Documents, path: str) -> dict[str, object] | None:
    (found,) = await documents.get(path)
    return None if found is None else dict(found.fields)


async def fill(documents: Documents, *paths: str) -> None:
    await documents.commit(*(Create(path, {"path": path}) for path in paths))


def ids(found: Sequence[Document]) -> list[str]:
    return [document.id for document in found]


# get


async def test_a_missing_document_is_none(documents: Documents, root: str) -> None:
    assert await documents.get(f"{root}/a") == [None]


async def test_many_are_read_in_the_order_asked_for(documents: Documents, root: str) -> None:
    await fill(documents, f"{root}/a", f"{root}/b", f"{root}/c")
    asked = [f"{root}/c", f"{root}/missing", f"{root}/a", f"{root}/b"]
    found = await documents.get(*asked)
    assert [document and document.path for document in found] == [asked[0], None, *asked[2:]]


async def test_fields_come_back_as_they_went(documents: Documents, root: str) -> None:
    fields: dict[str, object] = {
        "null": None,
        "yes": True,
        "no": False,
        "int": 2**53 + 1,
        "negative": -7,
        "float": 0.1,
        "list": [1, "two", {"three": [3]}, None],
        "map": {"deep": {"er": []}, "empty": {}},
        "empty": "",
    }
    await documents.commit(Create(f"{root}/a", fields))
    assert await fields_of(documents, f"{root}/a") == fields


@pytest.mark.parametrize(
    "text",
    ["", "naïve 漢字 العربية", "\U0001f9e0\U0010ffff", "a\x00b", "\u2028\r\n\t", "'; DROP --"],
)
async def test_text_of_any_script_is_kept(documents: Documents, root: str, text: str) -> None:
    await documents.commit(Create(f"{root}/a", {"text": text, "list": [text]}))
    assert await fields_of(documents, f"{root}/a") == {"text": text, "list": [text]}


@pytest.mark.parametrize("character", ["x", "\U0001f9e0"])
async def test_a_document_of_800_kib_is_kept(
    documents: Documents, root: str, character: str
) -> None:
    text = character * (800 * 1024 // len(character.encode()))
    await documents.commit(Create(f"{root}/a", {"text": text}))
    assert await fields_of(documents, f"{root}/a") == {"text": text}


@pytest.mark.parametrize("name", NAMES)
async def test_a_field_may_have_any_name(documents: Documents, root: str, name: str) -> None:
    fields = {name: {name: [name, {name: 1}]}, "other": 2}
    await documents.commit(Create(f"{root}/a", fields))
    assert await fields_of(documents, f"{root}/a") == fields
    assert await add(documents, Add(f"{root}/a", {"n": 1}, drop=[name])) == {"n": 1}
    assert await fields_of(documents, f"{root}/a") == {"n": 1, "other": 2}
    assert await add(documents, Add(f"{root}/a", {name: 3})) == {name: 3}
    assert await fields_of(documents, f"{root}/a") == {name: 3, "n": 1, "other": 2}


@pytest.mark.parametrize(
    "value", [[], {}, [[]], [[1], [[2, [{}]], {"~[]": 1}]], {"a": [{"b": [[None]]}]}, [{}, []]]
)
async def test_values_nest(documents: Documents, root: str, value: object) -> None:
    await documents.commit(Create(f"{root}/a", {"value": value}))
    assert await fields_of(documents, f"{root}/a") == {"value": value}


async def test_numbers_keep_their_kind(documents: Documents, root: str) -> None:
    numbers = [0, 0.0, 1, 1.0, True, 2**63 - 1, -(2**63), 1e308, 5e-324, -0.1]
    await documents.commit(Create(f"{root}/a", {"numbers": numbers}))
    (found,) = await documents.get(f"{root}/a")
    assert found is not None
    assert [(type(n), n) for n in found.fields["numbers"]] == [(type(n), n) for n in numbers]


async def test_asked_for_twice_a_document_is_answered_twice(
    documents: Documents, root: str
) -> None:
    await fill(documents, f"{root}/a")
    once, again = await documents.get(f"{root}/a", f"{root}/a")
    assert once == again
    assert once is not None


async def test_nothing_asked_for_is_nothing_answered(documents: Documents) -> None:
    assert await documents.get() == []
    assert await documents.commit() == []


# commit


async def test_an_existing_document_is_not_created_again(documents: Documents, root: str) -> None:
    await documents.commit(Create(f"{root}/a", {"n": 1}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Create(f"{root}/a", {"n": 2}))
    assert (caught.value.kind, caught.value.path) == ("exists", f"{root}/a")
    assert await fields_of(documents, f"{root}/a") == {"n": 1}


async def test_set_writes_whether_or_not_it_exists(documents: Documents, root: str) -> None:
    await documents.commit(Set(f"{root}/a", {"n": 1, "old": True}))
    await documents.commit(Set(f"{root}/a", {"n": 2}))
    assert await fields_of(documents, f"{root}/a") == {"n": 2}


async def test_the_version_written_is_the_version_read(documents: Documents, root: str) -> None:
    created = await documents.commit(Create(f"{root}/a", {}), Add(f"{root}/b", {"n": 1}))
    found = await documents.get(f"{root}/a", f"{root}/b")
    assert [document and document.version for document in found] == [w.version for w in created]


async def test_every_change_changes_the_version(documents: Documents, root: str) -> None:
    path = f"{root}/a"
    versions = []
    for write in (Create(path, {}), Set(path, {"n": 1}), Add(path, {"n": 1}), Set(path, {})):
        (written,) = await documents.commit(write)
        versions.append(written.version)
    assert len(set(versions)) == 4


async def test_an_update_changes_the_version_even_to_the_same_fields(
    documents: Documents, root: str
) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"n": 1}))
    (updated,) = await documents.commit(Update(f"{root}/a", {"n": 1}, created.version))
    (again,) = await documents.commit(Update(f"{root}/a", {"n": 1}, updated.version))
    assert len({created.version, updated.version, again.version}) == 3
    with pytest.raises(Conflict):
        await documents.commit(Update(f"{root}/a", {"n": 1}, updated.version))
    assert await fields_of(documents, f"{root}/a") == {"n": 1}


async def test_a_version_of_another_store_is_stale(documents: Documents, root: str) -> None:
    await fill(documents, f"{root}/a")
    for version in ("", "0", "1970-01-01T00:00:00Z", "2026-01-02T03:04:05.000000006Z", "nonsense"):
        with pytest.raises(Conflict) as caught:
            await documents.commit(Update(f"{root}/a", {}, version))
        assert caught.value.kind == "stale"


async def test_update_replaces_at_the_expected_version(documents: Documents, root: str) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"n": 1, "old": True}))
    (updated,) = await documents.commit(Update(f"{root}/a", {"n": 2}, created.version))
    assert updated.version != created.version
    assert await fields_of(documents, f"{root}/a") == {"n": 2}


async def test_a_stale_update_is_refused(documents: Documents, root: str) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"n": 1}))
    await documents.commit(Set(f"{root}/a", {"n": 2}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Update(f"{root}/a", {"n": 3}, created.version))
    assert (caught.value.kind, caught.value.path) == ("stale", f"{root}/a")
    assert await fields_of(documents, f"{root}/a") == {"n": 2}


async def test_an_update_of_what_was_deleted_is_refused(documents: Documents, root: str) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"n": 1}))
    await documents.commit(Delete(f"{root}/a"))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Update(f"{root}/a", {"n": 2}, created.version))
    assert caught.value.kind in MISSING
    assert await fields_of(documents, f"{root}/a") is None


async def test_an_update_is_refused_after_delete_and_re_creation(
    documents: Documents, root: str
) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"n": 1}))
    await documents.commit(Delete(f"{root}/a"))
    await documents.commit(Create(f"{root}/a", {"n": 1}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Update(f"{root}/a", {"n": 2}, created.version))
    assert caught.value.kind == "stale"


async def test_delete_needs_no_document(documents: Documents, root: str) -> None:
    await fill(documents, f"{root}/a")
    await documents.commit(Delete(f"{root}/a"), Delete(f"{root}/never-there"))
    assert await fields_of(documents, f"{root}/a") is None


async def test_delete_at_a_version_removes_only_that_version(
    documents: Documents, root: str
) -> None:
    (first,) = await documents.commit(Create(f"{root}/a", {}))
    (second,) = await documents.commit(Set(f"{root}/a", {"n": 1}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Delete(f"{root}/a", first.version))
    assert caught.value.kind == "stale"
    await documents.commit(Delete(f"{root}/a", second.version))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Delete(f"{root}/a", second.version))
    assert caught.value.kind in MISSING


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4])
async def test_a_refused_write_applies_nothing_of_its_commit(
    documents: Documents, root: str, position: int
) -> None:
    await documents.commit(
        *(Set(f"{root}/{name}", {"n": 1}) for name in ("set", "gone", "count", "stale"))
    )
    writes: list[Write] = [
        Create(f"{root}/created", {}),
        Set(f"{root}/set", {"n": 2}),
        Delete(f"{root}/gone"),
        Add(f"{root}/count", {"n": 1}, drop=["m"]),
    ]
    writes.insert(position, Update(f"{root}/stale", {"n": 2}, await stale_version(documents, root)))
    with pytest.raises(Conflict):
        await documents.commit(*writes)
    assert await fields_of(documents, f"{root}/created") is None
    for name in ("set", "gone", "count", "stale"):
        assert await fields_of(documents, f"{root}/{name}") == {"n": 1}


async def stale_version(documents: Documents, root: str) -> str:
    """A version that `stale` once had."""
    (before,) = await documents.get(f"{root}/stale")
    assert before is not None
    await documents.commit(Update(f"{root}/stale", before.fields, before.version))
    return before.version


async def test_a_path_appears_once_in_a_commit(documents: Documents, root: str) -> None:
    with pytest.raises(ValueError, match="once"):
        await documents.commit(Set(f"{root}/a", {"n": 1}), Add(f"{root}/a", {"n": 1}))
    assert await fields_of(documents, f"{root}/a") is None


async def test_each_write_is_answered_in_order(documents: Documents, root: str) -> None:
    written = await documents.commit(
        Add(f"{root}/b", {"n": 2}), Create(f"{root}/c", {}), Add(f"{root}/a", {"n": 1})
    )
    assert [dict(each.values) for each in written] == [{"n": 2}, {}, {"n": 1}]


# add


async def add(documents: Documents, write: Add) -> dict[str, float]:
    (written,) = await documents.commit(write)
    assert isinstance(written, Written)
    return dict(written.values)


async def test_add_answers_with_the_values_after(documents: Documents, root: str) -> None:
    await documents.commit(Create(f"{root}/a", {"n": 5, "m": 1, "text": "kept"}))
    assert await add(documents, Add(f"{root}/a", {"n": 2, "m": -4})) == {"n": 7, "m": -3}
    assert await fields_of(documents, f"{root}/a") == {"n": 7, "m": -3, "text": "kept"}


async def test_adding_zero_reads(documents: Documents, root: str) -> None:
    await add(documents, Add(f"{root}/a", {"n": 3}))
    assert await add(documents, Add(f"{root}/a", {"n": 0, "new": 0})) == {"n": 3, "new": 0}


async def test_a_missing_document_counts_from_zero(documents: Documents, root: str) -> None:
    assert await add(documents, Add(f"{root}/a", {"n": 2, "m": -1})) == {"n": 2, "m": -1}
    assert await fields_of(documents, f"{root}/a") == {"n": 2, "m": -1}


async def test_fractions_add_up(documents: Documents, root: str) -> None:
    await add(documents, Add(f"{root}/a", {"cost": 0.5, "n": 1}))
    values = await add(documents, Add(f"{root}/a", {"cost": 0.25, "n": 0.5}))
    assert values == pytest.approx({"cost": 0.75, "n": 1.5})


async def test_drop_deletes_fields_in_the_same_write(documents: Documents, root: str) -> None:
    await documents.commit(Create(f"{root}/a", {"old": 1, "older": 2, "n": 1}))
    values = await add(documents, Add(f"{root}/a", {"n": 1}, drop=["old", "older", "never"]))
    assert values == {"n": 2}
    assert await fields_of(documents, f"{root}/a") == {"n": 2}


async def test_labels_are_set_in_the_same_write_and_cost_no_other_field(
    documents: Documents, root: str
) -> None:
    labels = {"who": "google:1", "`odd`.name": "b"}
    first = Add(f"{root}/a", {"n": 1}, expires_at=1_900_000_000.0, labels=labels)
    assert await add(documents, first) == {"n": 1}
    again = Add(f"{root}/a", {"n": 1}, labels={"who": "google:2"})
    assert await add(documents, again) == {"n": 2}
    (found,) = await documents.get(f"{root}/a")
    assert found is not None
    assert found.fields == {"n": 2, "who": "google:2", "`odd`.name": "b"}
    assert found.expires_at == 1_900_000_000.0


async def test_a_field_dropped_and_added_to_counts_from_zero(
    documents: Documents, root: str
) -> None:
    await documents.commit(Create(f"{root}/a", {"n": 5}))
    assert await add(documents, Add(f"{root}/a", {"n": 1}, drop=["n"])) == {"n": 1}


async def test_whole_numbers_stay_whole(documents: Documents, root: str) -> None:
    await add(documents, Add(f"{root}/a", {"n": 1, "cost": 1.0}))
    values = await add(documents, Add(f"{root}/a", {"n": 1, "cost": 1.0}))
    assert {name: type(value) for name, value in values.items()} == {"n": int, "cost": float}


async def test_drop_on_a_missing_document_creates_what_is_added(
    documents: Documents, root: str
) -> None:
    await add(documents, Add(f"{root}/a", {"n": 1}, drop=["old"]))
    assert await fields_of(documents, f"{root}/a") == {"n": 1}


async def test_adds_pass_beside_a_good_update(documents: Documents, root: str) -> None:
    (created,) = await documents.commit(Create(f"{root}/head", {"n": 1}))
    _, added = await documents.commit(
        Update(f"{root}/head", {"n": 2}, created.version), Add(f"{root}/count", {"n": 1})
    )
    assert added.values == {"n": 1}


# expiry


async def test_expiry_is_kept_and_read_back(documents: Documents, root: str) -> None:
    await documents.commit(
        Create(f"{root}/a", {}, expires_at=1_800_000_000.0),
        Set(f"{root}/b", {}, expires_at=1_800_000_001.5),
        Add(f"{root}/c", {"n": 1}, expires_at=1_800_000_002.0),
        Set(f"{root}/d", {}),
    )
    expected = [1_800_000_000.0, 1_800_000_001.5, 1_800_000_002.0, None]
    read = await documents.get(*(f"{root}/{name}" for name in "abcd"))
    assert [document and document.expires_at for document in read] == expected
    assert [document.expires_at for document in await documents.list(root)] == expected


async def test_expiry_is_no_field(documents: Documents, root: str) -> None:
    await documents.commit(Create(f"{root}/a", {"n": 1}, expires_at=1_800_000_000.0))
    assert await fields_of(documents, f"{root}/a") == {"n": 1}


async def test_an_add_without_expiry_leaves_it_alone(documents: Documents, root: str) -> None:
    await documents.commit(Create(f"{root}/a", {}, expires_at=1_800_000_000.0))
    await documents.commit(Add(f"{root}/a", {"n": 1}))
    (found,) = await documents.get(f"{root}/a")
    assert found is not None
    assert found.expires_at == 1_800_000_000.0


async def test_an_add_moves_the_expiry_and_drops_in_the_same_write(
    documents: Documents, root: str
) -> None:
    await documents.commit(Create(f"{root}/a", {"old": 1}, expires_at=1_800_000_000.0))
    await documents.commit(Add(f"{root}/a", {"n": 1}, drop=["old"], expires_at=1_900_000_000.0))
    (found,) = await documents.get(f"{root}/a")
    assert found is not None
    assert (found.fields, found.expires_at) == ({"n": 1}, 1_900_000_000.0)


async def test_expiry_is_kept_to_the_microsecond(documents: Documents, root: str) -> None:
    moment = 1_795_242_258.216923
    await documents.commit(Create(f"{root}/a", {}, expires_at=moment))
    (found,) = await documents.get(f"{root}/a")
    assert found is not None
    assert found.expires_at == moment
    assert found.expired(moment)


async def test_a_replacement_without_expiry_ends_it(documents: Documents, root: str) -> None:
    written = await documents.commit(
        Create(f"{root}/a", {}, expires_at=1_800_000_000.0),
        Create(f"{root}/b", {}, expires_at=1_800_000_000.0),
    )
    await documents.commit(Set(f"{root}/a", {}), Update(f"{root}/b", {}, written[1].version))
    assert [each.expires_at for each in await documents.list(root)] == [None, None]


# list


async def test_a_collection_is_listed_by_id(documents: Documents, root: str) -> None:
    await fill(documents, *(f"{root}/{name}" for name in ("c", "a", "d", "b")))
    assert ids(await documents.list(root)) == ["a", "b", "c", "d"]
    assert ids(await documents.list(root, newest_first=True)) == ["d", "c", "b", "a"]


async def test_a_listing_lies_strictly_between_its_bounds(documents: Documents, root: str) -> None:
    await fill(documents, *(f"{root}/{name}" for name in "abcde"))
    assert ids(await documents.list(root, after="b")) == ["c", "d", "e"]
    assert ids(await documents.list(root, before="d")) == ["a", "b", "c"]
    assert ids(await documents.list(root, after="a", before="e")) == ["b", "c", "d"]
    assert ids(await documents.list(root, after="bb", before="dd")) == ["c", "d"]
    assert ids(await documents.list(root, after="e")) == []


async def test_a_limit_takes_from_the_end_it_starts_at(documents: Documents, root: str) -> None:
    await fill(documents, *(f"{root}/{name}" for name in "abcde"))
    assert ids(await documents.list(root, limit=2)) == ["a", "b"]
    assert ids(await documents.list(root, limit=2, after="b")) == ["c", "d"]
    newest = await documents.list(root, limit=2, newest_first=True, before="e", after="a")
    assert ids(newest) == ["d", "c"]


async def test_a_listing_stays_on_its_level(documents: Documents, root: str) -> None:
    await fill(
        documents, f"{root}/a", f"{root}/a/inner/x", f"{root}/b/inner/y", f"{root}x/c", f"{root}/d"
    )
    assert ids(await documents.list(root)) == ["a", "d"]
    assert ids(await documents.list(f"{root}/a/inner")) == ["x"]
    assert await documents.list(f"{root}/d/inner") == []


async def test_ids_are_ordered_by_code_point(documents: Documents, root: str) -> None:
    names = ["B", "a", "a-", "a.", "a0", "é", "漢", "\U0001f9e0"]
    await fill(documents, *(f"{root}/{name}" for name in reversed(names)))
    assert ids(await documents.list(root)) == names
    assert ids(await documents.list(root, newest_first=True)) == names[::-1]
    assert ids(await documents.list(root, after="é")) == names[-2:]


async def test_a_listing_holds_whole_documents(documents: Documents, root: str) -> None:
    await fill(documents, f"{root}/a", f"{root}/b")
    assert await documents.list(root) == await documents.get(f"{root}/a", f"{root}/b")


async def test_what_was_added_to_is_listed_from_both_ends(documents: Documents, root: str) -> None:
    await documents.commit(*(Add(f"{root}/{name}", {"n": 1}) for name in "abc"))
    await documents.commit(Set(f"{root}/b", {}))
    assert ids(await documents.list(root, limit=2)) == ["a", "b"]
    assert ids(await documents.list(root, limit=2, newest_first=True)) == ["c", "b"]


# delete_tree


async def test_a_tree_is_deleted_with_its_root_and_without_its_siblings(
    documents: Documents, root: str
) -> None:
    siblings = [f"{root}/{name}" for name in ("a", "bc", "b-x", "b.x", "b0", "B")]
    beside = f"{root}/bc/inner/x"
    await fill(documents, *siblings, beside, f"{root}/b", f"{root}/b/inner/x", f"{root}/b/i/x/j/y")
    assert await documents.delete_tree(f"{root}/b") == 3
    assert ids(await documents.list(root)) == sorted(path.rpartition("/")[2] for path in siblings)
    gone = await documents.get(f"{root}/b", f"{root}/b/inner/x", f"{root}/b/i/x/j/y", beside)
    assert [document is None for document in gone] == [True, True, True, False]


async def test_a_tree_without_a_document_at_its_root_is_deleted(
    documents: Documents, root: str
) -> None:
    await fill(documents, f"{root}/a/inner/x", f"{root}/a/inner/y")
    assert await documents.delete_tree(f"{root}/a") == 2
    assert await documents.list(f"{root}/a/inner") == []


async def test_a_collection_is_a_tree(documents: Documents, root: str) -> None:
    await fill(documents, f"{root}/a", f"{root}/a/inner/x", f"{root}/b", f"{root}x/a")
    assert await documents.delete_tree(root) == 3
    assert await documents.list(root) == []
    assert ids(await documents.list(f"{root}x")) == ["a"]


async def test_a_tree_is_deleted_in_pages_until_nothing_is_left(
    documents: Documents, root: str
) -> None:
    await fill(documents, f"{root}/a", *(f"{root}/a/inner/{n}" for n in range(10)))
    counts = [await documents.delete_tree(f"{root}/a", limit=4) for _ in range(4)]
    assert counts == [4, 4, 3, 0]
    assert await documents.get(f"{root}/a") == [None]


async def test_deleting_nothing_is_no_error(documents: Documents, root: str) -> None:
    assert await documents.delete_tree(f"{root}/a") == 0


# several at once


async def test_no_concurrent_increment_is_lost(
    documents: Documents, another: Documents, root: str
) -> None:
    writes = [Add(f"{root}/a", {"n": 1}) for _ in range(100)]
    written = await asyncio.gather(
        *(store.commit(write) for write in writes for store in (documents, another))
    )
    assert sorted(each.values["n"] for (each,) in written) == list(range(1, 201))
    assert await fields_of(documents, f"{root}/a") == {"n": 200}


async def test_of_racing_updates_exactly_one_wins(
    documents: Documents, another: Documents, root: str
) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {}))
    races = [
        store.commit(Update(f"{root}/a", {"by": f"{name}{turn}"}, created.version))
        for turn in range(10)
        for name, store in (("one", documents), ("two", another))
    ]
    outcomes = await asyncio.gather(*races, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_of_racing_updates_to_the_same_content_exactly_one_wins(
    documents: Documents, another: Documents, root: str
) -> None:
    (created,) = await documents.commit(Create(f"{root}/a", {"state": "taken"}))
    races = [
        store.commit(Update(f"{root}/a", {"state": "taken"}, created.version))
        for _ in range(10)
        for store in (documents, another)
    ]
    outcomes = await asyncio.gather(*races, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_of_racing_creations_exactly_one_wins(
    documents: Documents, another: Documents, root: str
) -> None:
    races = [
        store.commit(Create(f"{root}/a", {})) for _ in range(10) for store in (documents, another)
    ]
    outcomes = await asyncio.gather(*races, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_another_instance_sees_what_was_committed(
    documents: Documents, another: Documents, root: str
) -> None:
    await another.get(f"{root}/a")
    await fill(documents, f"{root}/a")
    assert await fields_of(another, f"{root}/a") == {"path": f"{root}/a"}
    await another.commit(Delete(f"{root}/a"))
    assert await fields_of(documents, f"{root}/a") is None
