"""Which verifier decides, with the real ones in the order the service asks them."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest

from gateway.accounts.workspace import Workspace, workspace_path
from gateway.accounts.workspaces import Workspaces
from gateway.documents.base import Create
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.errors import Forbidden, NotFound, Unauthenticated
from gateway.identity.base import Authenticator, Identity
from gateway.identity.google import CertificateSource, GoogleVerifier
from gateway.identity.keys import KeyVerifier, parse_keys
from support.certificates import AUDIENCE, CertificateServer, Clock, SigningKey, make_token
from support.flags import switched_on

BOUND = "ws_" + "b" * 26  # what `sk-robot` is for


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    """Of one kind: what the store has to do with it, `tests/accounts` asks of both."""
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "memory.db")))
    yield opened
    await opened.close()


@pytest.fixture
def workspaces(documents: MeteredDocuments, clock: Clock) -> Workspaces:
    return Workspaces(documents, clock, Random(1))


@pytest.fixture
def authenticator(
    server: CertificateServer, client: httpx.AsyncClient, clock: Clock, workspaces: Workspaces
) -> Authenticator:
    certificates = CertificateSource(client, server.url, clock)
    google = GoogleVerifier(frozenset({AUDIENCE}), certificates, clock)
    keys = f"alice:aaa.bbb.ccc, bob:sk-bob, robot@{BOUND}:sk-robot"
    return Authenticator([KeyVerifier(parse_keys(keys)), google], workspaces, switched_on())


async def test_an_id_token_is_a_google_account(
    authenticator: Authenticator, key: SigningKey
) -> None:
    identity = await authenticator.identify(f"Bearer {make_token(key)}", None)
    assert identity.subject == "google:110169484474386276334"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", " BEARER "])
async def test_a_bearer_that_is_no_jwt_is_tried_as_a_key(
    authenticator: Authenticator, scheme: str
) -> None:
    assert (await authenticator.identify(f"{scheme} sk-bob", None)).owner == "key:bob"


async def test_a_key_that_looks_like_a_jwt_is_a_key(
    authenticator: Authenticator, server: CertificateServer
) -> None:
    assert (await authenticator.identify("Bearer aaa.bbb.ccc", None)).owner == "key:alice"
    assert (await authenticator.identify(None, "aaa.bbb.ccc")).owner == "key:alice"
    assert server.hits == 0


async def test_the_api_key_header_goes_before_authorization(authenticator: Authenticator) -> None:
    identity = await authenticator.identify("Bearer sk-bob", "aaa.bbb.ccc")
    assert identity.owner == "key:alice"


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic sk-bob", "sk-bob", "Bearer sk-eve"]
)
async def test_whoever_brings_nothing_good_is_nobody(
    authenticator: Authenticator, authorization: str | None
) -> None:
    with pytest.raises(Unauthenticated):
        await authenticator.identify(authorization, None)


@pytest.mark.parametrize("workspace", [None, "", "personal", "key:bob"])
async def test_the_personal_workspace_costs_no_read(
    authenticator: Authenticator, documents: MeteredDocuments, workspace: str | None
) -> None:
    bob = await authenticator.identify(None, "sk-bob")
    assert await authenticator.enter(bob, workspace, "owner") == Identity("key:bob", "key:bob")
    assert documents.reset().reads == 0


async def test_a_shared_workspace_is_an_owner_of_its_own_and_the_caller_stays_who_it_is(
    authenticator: Authenticator, workspaces: Workspaces, documents: MeteredDocuments
) -> None:
    made = await workspaces.create("key:bob", "Household", None)
    bob = await authenticator.identify(None, "sk-bob")
    documents.reset()
    there = await authenticator.enter(bob, made.id, "writer")
    assert there == Identity("key:bob", f"workspace:{made.id}", made.id)
    assert documents.reset().reads == 1
    alice = await authenticator.identify(None, "aaa.bbb.ccc")
    for asked in (made.id, there.owner, "key:bob"):
        with pytest.raises(NotFound):
            await authenticator.enter(alice, asked, "reader")
    await workspaces.set_member(made.id, "key:bob", "key:alice", "reader", new=True)
    assert (await authenticator.enter(alice, made.id, "reader")).owner == there.owner
    with pytest.raises(Forbidden):
        await authenticator.enter(alice, made.id, "writer")


async def test_a_key_for_a_workspace_enters_that_one_alone_and_only_as_a_member(
    authenticator: Authenticator, documents: MeteredDocuments
) -> None:
    robot = await authenticator.identify(None, "sk-robot")
    assert robot.subject == "key:robot"
    with pytest.raises(NotFound):
        await authenticator.enter(robot, None, "reader")
    made = Workspace(BOUND, "Household", 0.0, {"key:robot": "writer"})
    await documents.commit(Create(workspace_path(BOUND), made.packed()))
    for asked in (None, BOUND):
        entered = await authenticator.enter(robot, asked, "writer")
        assert entered == Identity("key:robot", f"workspace:{BOUND}", BOUND)
    for asked in ("personal", "key:robot", "ws_" + "c" * 26):
        with pytest.raises(NotFound):
            await authenticator.enter(robot, asked, "reader")
    with pytest.raises(Forbidden):
        await authenticator.enter(robot, None, "owner")
