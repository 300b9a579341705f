"""API keys of the configuration: reading them, and telling whose one is."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unauthenticated
from gateway.identity.base import Identity
from gateway.identity.keys import KeyVerifier, parse_keys

NAMES = st.text(string.ascii_letters + string.digits + "-_. é", min_size=1).map(str.strip)
KEYS = st.text(string.ascii_letters + string.digits + "-_.:/+=", min_size=1, max_size=60)


async def owner(verifier: KeyVerifier, credential: str) -> str:
    identity = await verifier.verify(credential)
    assert identity.subject == identity.owner
    return identity.owner


async def test_a_named_key_is_its_name() -> None:
    verifier = KeyVerifier(parse_keys("alice:sk-abc, bob:sk-def"))
    assert await verifier.verify("sk-abc") == Identity("key:alice", "key:alice")
    assert await verifier.verify("sk-def") == Identity("key:bob", "key:bob")


async def test_two_keys_under_one_name_have_one_owner() -> None:
    verifier = KeyVerifier(parse_keys("alice:old, bob:other, alice:new"))
    assert await owner(verifier, "old") == await owner(verifier, "new") == "key:alice"


async def test_a_bare_key_keeps_its_name_and_does_not_tell_itself() -> None:
    alone = await owner(KeyVerifier(parse_keys("sk-secret")), "sk-secret")
    among_others = await owner(KeyVerifier(parse_keys("a:b, sk-secret ,other")), "sk-secret")
    assert alone == among_others
    assert "secret" not in alone


async def test_a_key_may_hold_colons() -> None:
    assert await owner(KeyVerifier(parse_keys("alice:sk:a:b")), "sk:a:b") == "key:alice"


@pytest.mark.parametrize(
    "credential", ["", "sk-ab", "sk-abcd", "SK-ABC", " sk-abc", "alice:sk-abc"]
)
async def test_only_the_whole_key_is_the_key(credential: str) -> None:
    verifier = KeyVerifier(parse_keys("a:sk-abc"))
    assert not verifier.claims(credential)
    with pytest.raises(Unauthenticated, match=r"^Incorrect API key provided\.$"):
        await verifier.verify(credential)


@pytest.mark.parametrize("credential", ["é", "\ud800", "\0", "k" * 1_000_000])
def test_a_credential_of_strange_characters_is_only_unknown(credential: str) -> None:
    assert not KeyVerifier(parse_keys("alice:sk-abc")).claims(credential)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_no_keys_are_no_keys(text: str) -> None:
    assert parse_keys(text) == ()
    assert not KeyVerifier(parse_keys(text)).claims("")


@pytest.mark.parametrize(
    "text",
    [
        "ok, alice:",
        "ok, :secret",
        "ok, :",
        "ok, alice: secret sauce",
        "ok, sécret",
        "ok, a\0b:secret",
    ],
)
def test_a_bad_entry_is_named_by_its_place_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"^API key 2 ") as caught:
        parse_keys(text)
    assert "cret" not in str(caught.value)


def test_one_key_under_two_names_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice") as caught:
        parse_keys("alice:secret, bob:secret")
    assert "secret" not in str(caught.value)


def test_no_key_can_be_read_back_from_what_is_kept() -> None:
    keys = parse_keys("alice:sk-abc, sk-def")
    assert "sk-abc" not in repr(keys)
    assert "sk-def" not in repr(keys)


@given(st.dictionaries(KEYS, NAMES.filter(bool), min_size=1, max_size=8), KEYS)
def test_every_configured_key_is_known_and_no_other(owners: dict[str, str], other: str) -> None:
    verifier = KeyVerifier(parse_keys(",".join(f"{name}:{key}" for key, name in owners.items())))
    assert all(verifier.claims(key) for key in owners)
    assert verifier.claims(other) == (other in owners)


async def test_a_name_may_end_in_the_workspace_that_the_key_is_for() -> None:
    workspace = "ws_" + "a" * 26
    verifier = KeyVerifier(parse_keys(f"bot@{workspace}:sk-a, ada@example.org:sk-b, x@ws_y:sk-c"))
    bound = await verifier.verify("sk-a")
    assert bound == Identity("key:bot", f"workspace:{workspace}", workspace)
    assert await owner(verifier, "sk-b") == "key:ada@example.org"
    assert await owner(verifier, "sk-c") == "key:x@ws_y"
