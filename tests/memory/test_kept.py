"""What an instance keeps parsed is what the store holds, at the version that it holds."""

import pytest

from gateway.documents.base import Document
from gateway.documents.metered import MeteredDocuments
from gateway.memory.heads import Head
from gateway.memory.kept import Kept
from gateway.memory.log import MessageLog
from gateway.memory.records import owner_path, session_path
from support.memories import ALICE, Scribe
from support.operations import CASES, SESSION, Past

PLAYED = (
    "a person's first turn",
    "a turn after 20, warm, 4 open sessions",
    "a turn with an Idempotency-Key",
    "a turn found by its beginning",
    "an edited question",
    "a turn whose tail rolls over",
)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Document | None]:
    """The documents that are parsed as heads from now on."""
    found: list[Document | None] = []
    of = Head.of

    def watched(document: Document | None, session: str) -> Head:
        found.append(document)
        return of(document, session)

    monkeypatch.setattr(Head, "of", staticmethod(watched))
    return found


@pytest.mark.parametrize("name", PLAYED)
async def test_what_a_turn_leaves_is_what_is_read_back(
    documents: MeteredDocuments, parsed: list[Document | None], name: str
) -> None:
    past = Past(documents)
    await CASES[name](past)
    stored = await documents.list(f"{owner_path(ALICE)}/sessions")
    expected = [Head.of(one, "") for one in stored]
    parsed.clear()
    kept = [past.scribe.log.kept.head(one, "") for one in stored]
    assert kept == expected
    assert len(parsed) < len(stored)  # the last turn's was kept, whatever became of the others


async def test_a_turn_after_another_one_parses_no_head(
    documents: MeteredDocuments, parsed: list[Document | None]
) -> None:
    past = Past(documents)
    await past.of(20)
    gateway = past.gateway()
    await gateway.says("What did I say?")
    parsed.clear()
    await gateway.says("And what else?")
    assert parsed == []


async def test_what_another_instance_wrote_is_seen(
    documents: MeteredDocuments, scribe: Scribe
) -> None:
    await scribe.append(SESSION, *scribe.turn("here"))
    other = Scribe(documents, seed=8)
    await other.append(SESSION, *other.turn("there"))
    head = (await scribe.log.load(ALICE, SESSION)).head
    assert [one.content for one in head.tail] == ["here", "Noted.", "there", "Noted."]
    await scribe.append(SESSION, *scribe.turn("here again"))
    assert len(await other.texts(SESSION)) == 6


async def test_a_deleted_session_is_not_kept(documents: MeteredDocuments, scribe: Scribe) -> None:
    await scribe.append(SESSION, *scribe.turn("here"))
    other = MessageLog(documents, scribe.clock, scribe.randomness)
    await other.delete_session(ALICE, SESSION)
    assert (await scribe.log.load(ALICE, SESSION)).head == Head(session=SESSION)


async def test_the_least_recently_used_is_dropped_first(
    documents: MeteredDocuments, scribe: Scribe, parsed: list[Document | None]
) -> None:
    for session in ("s1", "s2", "s3"):
        await scribe.append(session, *scribe.turn("word " * 100))
    paths = [session_path(ALICE, session) for session in ("s1", "s2", "s3")]
    one, two, three = await documents.get(*paths)
    assert one is not None
    kept = Kept(most_characters=2 * len(one.fields["state"]) + 200)
    for document in (one, two, one, three, one):
        kept.head(document, "")
    assert parsed == [one, two, three]
    kept.head(two, "")
    assert parsed == [one, two, three, two]
