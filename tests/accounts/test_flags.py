"""Flags on either store: who wins, how often it is asked, and what holds while it is away."""

import asyncio
from random import Random

import pytest

from gateway.accounts.audit import Audit
from gateway.accounts.flags import (
    FLAGS,
    FRESH_SECONDS,
    RETRY_SECONDS,
    SERVICE,
    Flag,
    Flags,
)
from gateway.accounts.workspace import digest
from gateway.documents.base import Documents, Set, StoreUnavailable
from gateway.documents.metered import MeteredDocuments, Operations
from gateway.settings import Settings
from support.memories import ALICE, BOB, NOON
from support.outages import Unreliable

DEFAULTS: dict[Flag, bool] = {flag: flag != "ENABLE_RESPONSE_CACHE" for flag in FLAGS}


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def flags(documents: MeteredDocuments, timer: Timer) -> Flags:
    return Flags(documents, timer, DEFAULTS)


class Changing:
    """An admin over a store."""

    def __init__(self, documents: Documents) -> None:
        self._flags = Flags(documents, Timer(), DEFAULTS)
        self._audit = Audit(documents, lambda: NOON, Random())

    async def sets(self, key: str, **changes: bool | None) -> None:
        named: dict[Flag, bool | None] = {f: changes[f] for f in FLAGS if f in changes}
        line = self._audit.line("key:ops", "flags.set", key)
        await self._flags.change(key, named, line)


def test_every_flag_is_a_setting_and_every_switch_a_flag() -> None:
    settings = Settings(_env_file=None)
    switches = {name.upper() for name in Settings.model_fields if name.startswith("enable_")}
    assert switches == set(FLAGS)
    assert {flag: getattr(settings, flag.lower()) for flag in FLAGS} == DEFAULTS


async def test_without_overrides_the_settings_hold(flags: Flags) -> None:
    assert await flags.of(ALICE) == DEFAULTS
    assert await flags.enabled("ENABLE_REDACTION", ALICE)
    assert not await flags.enabled("ENABLE_RESPONSE_CACHE", ALICE)


async def test_the_narrower_override_wins(flags: Flags, documents: MeteredDocuments) -> None:
    admin = Changing(documents)
    await admin.sets(SERVICE, ENABLE_CONTEXT_MEMORY=False, ENABLE_RESPONSE_CACHE=True)
    await admin.sets(digest(ALICE), ENABLE_CONTEXT_MEMORY=True)
    assert await flags.enabled("ENABLE_CONTEXT_MEMORY", ALICE)
    assert not await flags.enabled("ENABLE_CONTEXT_MEMORY", BOB)
    assert await flags.enabled("ENABLE_RESPONSE_CACHE", ALICE)


async def test_none_takes_an_override_back_and_leaves_the_others(
    flags: Flags, documents: MeteredDocuments
) -> None:
    admin, key = Changing(documents), digest(ALICE)
    await admin.sets(key, ENABLE_REDACTION=False, ENABLE_RESPONSE_CACHE=True)
    await admin.sets(key, ENABLE_REDACTION=None)
    held, own = await flags.told(key)
    assert (held["ENABLE_REDACTION"], held["ENABLE_RESPONSE_CACHE"]) == (True, True)
    assert (own["ENABLE_REDACTION"], own["ENABLE_RESPONSE_CACHE"]) == (None, True)
    assert set(own) == set(FLAGS)


async def test_a_minute_costs_two_reads_for_the_first_owner_and_one_for_the_next(
    flags: Flags, documents: MeteredDocuments, timer: Timer
) -> None:
    documents.reset()
    for _ in range(5):
        await flags.of(ALICE)
    assert documents.reset() == Operations(reads=2)
    await flags.of(BOB)
    assert documents.reset() == Operations(reads=1)
    timer.now += FRESH_SECONDS - 0.001
    await flags.of(ALICE)
    assert documents.reset() == Operations()
    timer.now += 0.001
    await flags.of(ALICE)
    assert documents.reset() == Operations(reads=2)


async def test_many_at_once_read_once(flags: Flags, documents: MeteredDocuments) -> None:
    documents.reset()
    await asyncio.gather(*(flags.of(ALICE) for _ in range(50)))
    assert documents.reset() == Operations(reads=2)


async def test_who_leaves_takes_nobody_along(flags: Flags) -> None:
    leaving, staying = (asyncio.create_task(flags.of(ALICE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == DEFAULTS


async def test_a_change_is_seen_here_at_once_and_elsewhere_within_a_minute(
    flags: Flags, documents: MeteredDocuments, timer: Timer
) -> None:
    here = Flags(documents, timer, DEFAULTS)
    line = Audit(documents, lambda: NOON, Random(7)).line("key:ops", "flags.set", "w")
    for one in (here, flags):
        assert await one.enabled("ENABLE_REDACTION", ALICE)
    await here.change(digest(ALICE), {"ENABLE_REDACTION": False}, line)
    assert not await here.enabled("ENABLE_REDACTION", ALICE)
    assert await flags.enabled("ENABLE_REDACTION", ALICE)
    timer.now += FRESH_SECONDS
    assert not await flags.enabled("ENABLE_REDACTION", ALICE)


async def test_while_the_store_is_away_the_settings_or_what_was_last_known_hold(
    documents: MeteredDocuments, timer: Timer
) -> None:
    await Changing(documents).sets(digest(ALICE), ENABLE_CONTEXT_MEMORY=False)
    store = Unreliable(documents)
    flags = Flags(store, timer, DEFAULTS)
    assert not await flags.enabled("ENABLE_CONTEXT_MEMORY", ALICE)
    store.away, timer.now = True, FRESH_SECONDS
    assert not await flags.enabled("ENABLE_CONTEXT_MEMORY", ALICE)
    assert await flags.of(BOB) == DEFAULTS
    asked = len(store.calls)
    await flags.of(BOB)
    assert len(store.calls) == asked  # not asked again with every request
    store.away = False
    await Changing(documents).sets(digest(ALICE), ENABLE_CONTEXT_MEMORY=None)
    timer.now += RETRY_SECONDS
    assert await flags.enabled("ENABLE_CONTEXT_MEMORY", ALICE)


async def test_a_change_that_cannot_be_kept_is_no_change(
    flags: Flags, documents: MeteredDocuments
) -> None:
    with pytest.raises(StoreUnavailable):
        await Changing(Unreliable(documents, "refused")).sets(SERVICE, ENABLE_REDACTION=False)
    assert await flags.of(ALICE) == DEFAULTS
    assert await documents.list("audit") == []


async def test_of_two_changes_at_once_both_stand(
    flags: Flags, documents: MeteredDocuments, another: MeteredDocuments
) -> None:
    await asyncio.gather(
        Changing(documents).sets(SERVICE, ENABLE_REDACTION=False),
        Changing(another).sets(SERVICE, ENABLE_RESPONSE_CACHE=True),
    )
    held = await flags.of(ALICE)
    assert (held["ENABLE_REDACTION"], held["ENABLE_RESPONSE_CACHE"]) == (False, True)
    assert len(await documents.list("audit")) == 2


async def test_a_flag_of_another_version_is_kept_and_means_nothing_here(
    flags: Flags, documents: MeteredDocuments
) -> None:
    await documents.commit(Set("flags/service", {"schema": 1, "ENABLE_TELEPATHY": True}))
    await Changing(documents).sets(SERVICE, ENABLE_REDACTION=False)
    assert set(await flags.of(ALICE)) == set(FLAGS)
    (kept,) = await documents.get("flags/service")
    assert kept is not None
    assert kept.fields["ENABLE_TELEPATHY"] is True


async def test_what_is_kept_of_owners_is_bounded(documents: MeteredDocuments, timer: Timer) -> None:
    flags = Flags(documents, timer, DEFAULTS, owners_kept=4)
    for n in range(9):
        await flags.of(f"google:{n}")
    documents.reset()
    await flags.of("google:8")
    assert documents.reset() == Operations()
    await flags.of("google:0")
    assert documents.reset() == Operations(reads=1)
