"""Keys made through the API, judged: a read a minute, a minute to a revocation, no free guesses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from gateway.accounts.allowance import NOTHING_SAID
from gateway.accounts.key import Key, Scope, secret_of
from gateway.accounts.keys import Keys
from gateway.accounts.workspace import PERSONAL, owner_of
from gateway.accounts.workspaces import Workspaces
from gateway.documents.base import StoreUnavailable
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import NotFound, RateLimited, Unauthenticated
from gateway.identity.base import Authenticator, Identity
from gateway.identity.stored import FRESH_SECONDS, GUESSES_PER_MINUTE, StoredKeyVerifier
from limits.clock import Clock
from support.flags import switched_on

ALICE = "google:alice"
SCOPES: frozenset[Scope] = frozenset({"chat", "memory:read"})
WORKSPACE = "ws_" + "a" * 26


class Switched:
    """A store that can be taken away."""

    def __init__(self, inner: MeteredDocuments) -> None:
        self.inner, self.away = inner, False

    def __getattr__(self, name: str) -> object:
        if self.away:
            raise StoreUnavailable
        return getattr(self.inner, name)


@pytest.fixture
def time() -> Clock:
    return Clock(20_000 * 86_400.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "keys.db")))
    yield opened
    await opened.close()


@pytest.fixture
def switched(store: MeteredDocuments) -> Switched:
    return Switched(store)


@pytest.fixture
def keys(switched: Switched, time: Clock) -> Keys:
    return Keys(switched, time, Random(7))  # type: ignore[arg-type]  # it passes everything on


@pytest.fixture
def verifier(keys: Keys, time: Clock) -> StoredKeyVerifier:
    return StoredKeyVerifier(keys, time)


async def make(
    keys: Keys, workspace: str = PERSONAL, valid_until: float | None = None
) -> tuple[Key, str]:
    return await keys.create(ALICE, workspace, "n", SCOPES, valid_until, NOTHING_SAID, None)


def guess(n: int) -> str:
    return secret_of(n.to_bytes(32, "big"))


async def test_a_key_is_its_person_in_its_workspace_with_its_scopes(
    keys: Keys, verifier: StoredKeyVerifier
) -> None:
    _, mine = await make(keys)
    _, shared = await make(keys, WORKSPACE)
    one, two = await verifier.verify(mine), await verifier.verify(shared)
    assert (one.subject, one.owner, one.workspace, one.scopes) == (ALICE, ALICE, PERSONAL, SCOPES)
    assert (two.subject, two.owner, two.workspace) == (ALICE, owner_of(WORKSPACE), WORKSPACE)


def test_only_what_looks_like_a_key_is_claimed(verifier: StoredKeyVerifier) -> None:
    assert verifier.claims(guess(1))
    for other in ("", "mk_", "sk-alice", "a.b.c", guess(1) + "x", guess(1)[:-1], f"{guess(1)}\n"):
        assert not verifier.claims(other)


async def test_a_key_costs_a_read_a_minute_and_a_write_an_hour(
    keys: Keys, verifier: StoredKeyVerifier, store: MeteredDocuments, time: Clock
) -> None:
    _, secret = await make(keys)
    store.reset()
    for _ in range(50):
        await verifier.verify(secret)
    assert store.reset() == Operations(reads=1, writes=1)
    time.now += FRESH_SECONDS - 1
    await verifier.verify(secret)
    assert store.reset() == Operations()
    time.now += 1
    await verifier.verify(secret)
    assert store.reset() == Operations(reads=1)


async def test_however_many_wait_one_read_is_made(
    keys: Keys, verifier: StoredKeyVerifier, store: MeteredDocuments
) -> None:
    _, secret = await make(keys)
    store.reset()
    found = await asyncio.gather(*(verifier.verify(secret) for _ in range(20)))
    assert {identity.subject for identity in found} == {ALICE}
    assert store.operations == Operations(reads=1, writes=1)


async def test_a_request_that_leaves_takes_no_other_along(
    keys: Keys, verifier: StoredKeyVerifier
) -> None:
    _, secret = await make(keys)
    leaving = asyncio.ensure_future(verifier.verify(secret))
    staying = asyncio.ensure_future(verifier.verify(secret))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).subject == ALICE


async def test_a_revoked_key_is_refused_within_a_minute(
    keys: Keys, verifier: StoredKeyVerifier, time: Clock
) -> None:
    made, secret = await make(keys)
    await verifier.verify(secret)
    await keys.revoke(ALICE, made.id)
    time.now += FRESH_SECONDS
    with pytest.raises(Unauthenticated):
        await verifier.verify(secret)


async def test_what_is_changed_here_is_read_anew_at_once(
    keys: Keys, verifier: StoredKeyVerifier
) -> None:
    made, secret = await make(keys)
    await verifier.verify(secret)
    verifier.forget(await keys.revoke(ALICE, made.id))
    with pytest.raises(Unauthenticated):
        await verifier.verify(secret)


async def test_a_key_that_has_ended_is_refused_at_once(
    keys: Keys, verifier: StoredKeyVerifier, time: Clock
) -> None:
    _, secret = await make(keys, valid_until=time.now + 5)
    await verifier.verify(secret)
    time.now += 5
    with pytest.raises(Unauthenticated):
        await verifier.verify(secret)


async def test_a_store_that_is_away_is_no_wrong_key(
    keys: Keys, verifier: StoredKeyVerifier, switched: Switched, time: Clock
) -> None:
    _, known = await make(keys)
    _, unknown = await make(keys)
    await verifier.verify(known)
    switched.away = True
    assert (await verifier.verify(known)).subject == ALICE
    with pytest.raises(StoreUnavailable):
        await verifier.verify(unknown)
    time.now += FRESH_SECONDS
    with pytest.raises(StoreUnavailable):
        await verifier.verify(known)
    switched.away = False
    assert (await verifier.verify(unknown)).subject == ALICE


async def test_the_same_guess_is_read_once_a_minute(
    verifier: StoredKeyVerifier, store: MeteredDocuments, time: Clock
) -> None:
    for _ in range(500):
        with pytest.raises(Unauthenticated):
            await verifier.verify(guess(1))
    assert store.reset() == Operations(reads=1)
    time.now += FRESH_SECONDS
    with pytest.raises(Unauthenticated):
        await verifier.verify(guess(1))
    assert store.reset() == Operations(reads=1)


async def test_guessing_costs_a_bounded_number_of_reads(
    keys: Keys, verifier: StoredKeyVerifier, store: MeteredDocuments, time: Clock
) -> None:
    _, known = await make(keys)
    _, late = await make(keys)
    await verifier.verify(known)
    store.reset()
    outcomes = []
    for n in range(3 * GUESSES_PER_MINUTE):
        try:
            await verifier.verify(guess(n))
        except (Unauthenticated, RateLimited) as error:
            outcomes.append(error.status)
    assert store.operations.reads == GUESSES_PER_MINUTE
    assert outcomes == [401] * GUESSES_PER_MINUTE + [429] * 2 * GUESSES_PER_MINUTE
    assert (await verifier.verify(known)).subject == ALICE
    with pytest.raises(RateLimited) as caught:
        await verifier.verify(late)
    assert caught.value.headers["retry-after"] == "60"
    time.now += 60
    assert (await verifier.verify(late)).subject == ALICE


async def test_a_key_reaches_its_own_workspace_alone(
    keys: Keys, verifier: StoredKeyVerifier, store: MeteredDocuments, time: Clock
) -> None:
    workspaces = Workspaces(store, time, Random(3))
    household = await workspaces.create(ALICE, "Household", None)
    door = Authenticator([verifier], workspaces, switched_on())
    _, personal = await make(keys)
    _, shared = await make(keys, household.id)
    mine = await door.identify(f"Bearer {personal}", None)
    ours = await door.identify(None, shared)
    assert await door.enter(mine, None, "writer") == mine
    assert await door.enter(mine, PERSONAL, "writer") == mine
    assert await door.enter(mine, ALICE, "writer") == mine
    assert (await door.enter(ours, None, "writer")).owner == owner_of(household.id)
    for identity, elsewhere in ((mine, household.id), (ours, PERSONAL), (ours, ALICE)):
        with pytest.raises(NotFound):
            await door.enter(identity, elsewhere, "reader")
    await workspaces.set_member(household.id, ALICE, "google:bob", "owner", new=True)
    await workspaces.remove(household.id, "google:bob", ALICE)
    with pytest.raises(NotFound):  # who is out of it is out with all keys, at once
        await door.enter(ours, None, "reader")


def test_a_configured_identity_has_all_scopes_and_no_bounds() -> None:
    identity = Identity("key:a", "key:a")
    assert not identity.bound
    assert identity.scopes == {"chat", "memory:read", "memory:write", "admin"}
