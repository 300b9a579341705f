"""Keys in either store: one read to know one, nobody's list reads anybody else's."""

import asyncio
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.key import (
    ALL_SCOPES,
    KEPT_DAYS,
    KEY_ID,
    SCOPES,
    SECRET,
    Key,
    Scope,
    digest_of,
    secret_of,
)
from gateway.accounts.keys import MOST_KEYS, USE_WRITTEN_SECONDS, Keys
from gateway.accounts.workspace import PERSONAL
from gateway.documents.base import Create, Delete, Document, Update
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.errors import Contested, NotFound
from limits.clock import Clock
from support.stores import sqlite_only

ALICE, BOB = "google:alice", "google:bob"
DAY = 86_400.0
CHAT: frozenset[Scope] = frozenset({"chat"})


async def make(
    keys: Keys,
    subject: str = ALICE,
    name: str = "a key",
    *,
    workspace: str = PERSONAL,
    valid_until: float | None = None,
    allowance: Allowance = NOTHING_SAID,
) -> tuple[Key, str]:
    return await keys.create(subject, workspace, name, CHAT, valid_until, allowance, None)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_its_prefix_and_32_bytes_that_a_header_can_carry(random: bytes) -> None:
    secret = secret_of(random)
    assert SECRET.fullmatch(secret)
    assert len(digest_of(secret)) == 52


AMOUNTS = st.none() | st.integers(0, 10**12)
MONEY = st.none() | st.floats(0, 1e9)
ALLOWANCES = st.builds(Allowance, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, MONEY, MONEY)
MOMENTS = st.none() | st.floats(0, 4e9)


@given(ALLOWANCES)
def test_an_allowance_is_read_as_it_was_packed(allowance: Allowance) -> None:
    assert Allowance.of({**allowance.packed(), "of_a_later_version": 1}) == allowance
    assert bool(allowance) == bool(allowance.packed())


@given(st.sets(st.sampled_from(SCOPES)), MOMENTS, MOMENTS, ALLOWANCES)
def test_a_key_is_read_as_it_was_packed(
    scopes: set[Scope], valid_until: float | None, used: float | None, allowance: Allowance
) -> None:
    key = Key(
        digest=digest_of("x"),
        name="n",
        prefix="mk_12345",
        subject=ALICE,
        workspace=PERSONAL,
        scopes=frozenset(scopes),
        created_at=1.5,
        valid_until=valid_until,
        last_used_at=used,
        created_by=None,
        allowance=allowance,
        version="7",
    )
    assert Key.of(Document(key.path, key.packed(), "7")) == key


async def test_a_key_is_known_by_one_read(keys: Keys, documents: MeteredDocuments) -> None:
    made, secret = await make(keys, allowance=Allowance(requests_per_minute=3))
    assert SECRET.fullmatch(secret)
    assert KEY_ID.fullmatch(made.id)
    assert documents.reset() == Operations(reads=1, writes=2)
    assert await keys.of_digest(digest_of(secret)) == made
    assert documents.operations == Operations(reads=1)


async def test_the_store_never_holds_a_key(keys: Keys, documents: MeteredDocuments) -> None:
    _, secret = await make(keys)
    (kept,) = await documents.list("keys")
    (pointer,) = await documents.list(f"members/{digest_of(ALICE)}/keys")
    held = f"{kept} {pointer}"
    assert secret not in held
    assert secret[8:] not in held


async def test_a_persons_list_reads_nobody_elses(
    keys: Keys, documents: MeteredDocuments, clock: Clock
) -> None:
    for n in range(3):
        clock.now += 1
        await make(keys, BOB, f"bob's {n}")
    await make(keys, ALICE, "alice's")
    documents.reset()
    assert [key.name for key in await keys.mine(ALICE)] == ["alice's"]
    assert documents.reset() == Operations(reads=2)
    assert [key.name for key in await keys.mine(BOB)] == ["bob's 2", "bob's 1", "bob's 0"]


async def test_anothers_key_is_not_there_and_costs_what_one_that_never_was_does(
    keys: Keys, documents: MeteredDocuments
) -> None:
    made, _ = await make(keys, BOB)
    documents.reset()
    costs = []
    for id in (made.id, "key_" + "a" * 26):
        for act in (keys.find, keys.revoke):
            with pytest.raises(NotFound):
                await act(ALICE, id)
            costs.append(documents.reset())
    assert set(map(repr, costs)) == {repr(Operations(reads=1))}
    for malformed in ("", "key_", "../keys", made.digest, "key_" + "a" * 27):
        with pytest.raises(NotFound):
            await keys.find(BOB, malformed)
    assert documents.operations == Operations()


async def test_a_revoked_key_is_listed_for_a_month_more(keys: Keys, clock: Clock) -> None:
    made, secret = await make(keys)
    revoked = await keys.revoke(ALICE, made.id)
    assert not revoked.good(clock())
    clock.now += 60
    assert await keys.revoke(ALICE, made.id) == revoked  # twice is as good as once
    read = await keys.of_digest(digest_of(secret))
    assert read is not None
    assert not read.good(clock())
    assert [key.revoked_at for key in await keys.mine(ALICE)] == [clock.now - 60]
    clock.now += KEPT_DAYS * DAY
    assert await keys.mine(ALICE) == []
    with pytest.raises(NotFound):
        await keys.find(ALICE, made.id)
    with pytest.raises(NotFound):
        await keys.find_any(made.id)


async def test_a_key_ends_when_it_was_to(keys: Keys, clock: Clock) -> None:
    made, _ = await make(keys, valid_until=clock.now + 10)
    assert made.good(clock())
    clock.now += 10
    assert not made.good(clock())
    assert [key.id for key in await keys.mine(ALICE)] == [made.id]


async def test_changes_at_once_are_all_made(
    keys: Keys, another: MeteredDocuments, clock: Clock
) -> None:
    made, _ = await make(keys)
    elsewhere = Keys(another, clock, Random(8))
    await asyncio.gather(
        keys.change(ALICE, made.id, lambda key: replace(key, name="renamed")),
        elsewhere.change(
            ALICE, made.id, lambda key: replace(key, allowance=Allowance(daily_tokens=5))
        ),
        elsewhere.revoke(ALICE, made.id),
    )
    found = await keys.find(ALICE, made.id)
    assert (found.name, found.allowance.daily_tokens, found.revoked_at) == (
        "renamed",
        5,
        clock.now,
    )


async def test_a_use_is_written_once_an_hour(
    keys: Keys, documents: MeteredDocuments, another: MeteredDocuments, clock: Clock
) -> None:
    made, secret = await make(keys)
    documents.reset()
    used = await keys.used(made)
    assert documents.reset() == Operations(writes=1)
    for _ in range(3):
        clock.now += USE_WRITTEN_SECONDS / 4
        assert await keys.used(used) == used
    assert documents.operations == Operations()
    elsewhere = Keys(another, clock, Random(8))
    assert await elsewhere.used(made) == made  # a stale copy writes nothing over it
    clock.now += USE_WRITTEN_SECONDS
    later = await keys.of_digest(digest_of(secret))
    assert later is not None
    assert later.last_used_at == used.last_used_at
    assert (await keys.used(later)).last_used_at == clock.now


async def test_a_use_does_not_bring_a_revoked_key_back(keys: Keys) -> None:
    made, secret = await make(keys)
    await keys.revoke(ALICE, made.id)
    await keys.used(made)
    read = await keys.of_digest(digest_of(secret))
    assert read is not None
    assert read.revoked_at is not None


async def test_everybodys_keys_come_in_pages(keys: Keys) -> None:
    made = sorted([(await make(keys, f"google:{n}"))[0].id for n in range(7)])
    found, after = [], None
    for _ in range(3):
        page, after = await keys.page(limit=3, after=after)
        found += [key.id for key in page]
    assert (found, after) == (made, None)


async def test_anybodys_key_is_revoked_with_what_goes_beside(
    keys: Keys, documents: MeteredDocuments, clock: Clock
) -> None:
    made, _ = await make(keys, BOB)
    await keys.revoke_any(made.id, Create("audit/1", {"act": "keys.delete"}))
    assert (await keys.find(BOB, made.id)).revoked_at == clock.now
    await keys.revoke_any(made.id, Create("audit/2", {"act": "keys.delete"}))
    assert len(await documents.list("audit")) == 2
    with pytest.raises(NotFound):
        await keys.revoke_any("key_" + "a" * 26, Create("audit/3", {}))


@sqlite_only
async def test_a_person_has_a_hundred_keys_until_old_ones_are_gone(
    keys: Keys, documents: MeteredDocuments, clock: Clock
) -> None:
    for _ in range(MOST_KEYS):
        made, _ = await make(keys)
    with pytest.raises(Contested):
        await make(keys)
    await make(keys, BOB)
    await keys.revoke(ALICE, made.id)
    with pytest.raises(Contested):
        await make(keys)
    clock.now += KEPT_DAYS * DAY
    await make(keys)
    pointers = await documents.list(f"members/{digest_of(ALICE)}/keys", limit=200)
    assert len(pointers) == MOST_KEYS
    assert made.id not in [one.id for one in pointers]


async def test_a_pointer_without_its_key_is_no_key(keys: Keys, documents: MeteredDocuments) -> None:
    """As a TTL may leave it for a day."""
    made, _ = await make(keys)
    await documents.commit(Delete(made.path))
    assert await keys.mine(ALICE) == []
    with pytest.raises(NotFound):
        await keys.find(ALICE, made.id)


async def test_a_pointer_to_anothers_key_reaches_nothing(
    keys: Keys, documents: MeteredDocuments
) -> None:
    made, _ = await make(keys)
    assert made.version is not None
    stolen = replace(made, subject=BOB)
    await documents.commit(Update(made.path, stolen.packed(), made.version))
    assert await keys.mine(ALICE) == []
    with pytest.raises(NotFound):
        await keys.find(ALICE, made.id)


def test_all_scopes_are_all() -> None:
    assert frozenset(SCOPES) == ALL_SCOPES
