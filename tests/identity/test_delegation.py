"""No credential hands on more than it has."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.allowance import NOTHING_SAID, Allowance
from gateway.accounts.key import ALL_SCOPES, SCOPES, Key, Scope, digest_of
from gateway.accounts.workspace import PERSONAL, owner_of
from gateway.errors import Forbidden
from gateway.identity.base import Identity
from gateway.identity.delegation import (
    check_end,
    check_scopes,
    check_unlimited,
    manages,
    workspace_for,
)

ALICE = "google:alice"
HOUSEHOLD, OFFICE = "ws_" + "a" * 26, "ws_" + "b" * 26
PERSON = Identity(ALICE, ALICE)
GRANTED = st.frozensets(st.sampled_from(SCOPES))


def key(
    scopes: frozenset[Scope] = ALL_SCOPES,
    workspace: str = PERSONAL,
    subject: str = ALICE,
    valid_until: float | None = None,
    allowance: Allowance = NOTHING_SAID,
) -> Key:
    return Key(
        digest_of("x"),
        "n",
        "mk_12345",
        subject,
        workspace,
        scopes,
        0.0,
        valid_until,
        allowance=allowance,
    )


def bearer(made: Key) -> Identity:
    owner = made.subject if made.workspace == PERSONAL else owner_of(made.workspace)
    return Identity(made.subject, owner, made.workspace, made.scopes, made)


@given(GRANTED, GRANTED)
def test_scopes_never_grow(has: frozenset[Scope], wanted: frozenset[Scope]) -> None:
    maker = bearer(key(has))
    if wanted <= has:
        check_scopes(maker, wanted)
    else:
        with pytest.raises(Forbidden):
            check_scopes(maker, wanted)


@given(GRANTED, GRANTED, st.sampled_from([PERSONAL, HOUSEHOLD, OFFICE]))
def test_a_key_manages_those_that_are_no_more_than_itself(
    has: frozenset[Scope], theirs: frozenset[Scope], workspace: str
) -> None:
    managed = manages(bearer(key(has)), key(theirs, workspace))
    assert managed == (theirs <= has and workspace == PERSONAL)
    assert not manages(bearer(key(has)), key(theirs, workspace, "google:bob"))
    assert manages(PERSON, key(theirs, workspace))


def test_a_person_makes_keys_for_any_workspace() -> None:
    assert workspace_for(PERSON, None) == PERSONAL
    assert workspace_for(PERSON, ALICE) == PERSONAL
    assert workspace_for(PERSON, HOUSEHOLD) == HOUSEHOLD


@pytest.mark.parametrize("own", [PERSONAL, HOUSEHOLD])
def test_a_key_makes_keys_for_its_own_workspace_alone(own: str) -> None:
    maker = bearer(key(workspace=own))
    assert workspace_for(maker, None) == own
    assert workspace_for(maker, own) == own
    assert workspace_for(replace(maker, key=None), None) == own
    for other in {PERSONAL, HOUSEHOLD, OFFICE} - {own}:
        with pytest.raises(Forbidden):
            workspace_for(maker, other)


def test_no_key_outlives_its_maker() -> None:
    check_end(PERSON, None)
    check_end(bearer(key()), None)
    check_end(bearer(key(valid_until=50.0)), 50.0)
    for later in (None, 50.1):
        with pytest.raises(Forbidden):
            check_end(bearer(key(valid_until=50.0)), later)


def test_a_limited_key_sheds_its_limits_through_no_other() -> None:
    check_unlimited(PERSON)
    check_unlimited(bearer(key()))
    with pytest.raises(Forbidden):
        check_unlimited(bearer(key(allowance=Allowance(daily_tokens=0))))
