"""Who is an admin: the configured subjects, exactly, with a credential that is good for it."""

import pytest

from gateway.accounts.admins import Admins
from gateway.accounts.key import ALL_SCOPES, Scope
from gateway.errors import Forbidden
from gateway.identity.base import Identity

ADMINS = Admins(frozenset({"google:123", "key:ops"}))


def caller(subject: str, scopes: frozenset[Scope] = ALL_SCOPES) -> Identity:
    return Identity(subject, owner=subject, scopes=scopes)


@pytest.mark.parametrize("subject", ["google:123", "key:ops"])
def test_a_named_subject_is_an_admin(subject: str) -> None:
    ADMINS.require(caller(subject))


@pytest.mark.parametrize(
    "subject",
    [
        "google:12",
        "google:1234",
        "GOOGLE:123",
        "key:123",
        "google:ops",
        "key:ops ",
        "",
        "key:\ud800",
    ],
)
def test_what_resembles_one_is_not(subject: str) -> None:
    assert not ADMINS.is_admin(caller(subject))
    with pytest.raises(Forbidden) as refused:
        ADMINS.require(caller(subject))
    assert (refused.value.status, refused.value.code) == (403, "admin_required")
    assert "123" not in refused.value.message


def test_without_configuration_nobody_is_one() -> None:
    assert not Admins(frozenset()).is_admin(caller("key:ops"))


def test_an_admins_key_for_less_is_no_admins_key() -> None:
    assert not ADMINS.is_admin(caller("key:ops", frozenset({"chat", "memory:read"})))
    assert ADMINS.is_admin(caller("key:ops", frozenset({"admin"})))


def test_the_scope_alone_makes_no_admin() -> None:
    assert not ADMINS.is_admin(caller("key:mallory", frozenset({"admin"})))


def test_a_shared_workspace_does_not_hide_who_is_calling() -> None:
    there = Identity("key:ops", owner="workspace:ws_a", workspace="ws_a")
    assert ADMINS.is_admin(there)
    assert not ADMINS.is_admin(Identity("key:bob", owner="key:ops"))
