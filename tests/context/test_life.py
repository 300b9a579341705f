"""A scripted life: thirty sessions, facts that changed, a contradiction, a deletion, a restore.

Every depth gives the answer of the date that it is asked about, on either store; also once all of
it was exported, erased and imported again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from gateway.documents.metered import MeteredDocuments
from gateway.entities.content import date_of
from gateway.entities.editor import Changes, Given
from gateway.entities.register import View
from gateway.errors import NotFound
from gateway.memory.edits import Edits
from support.contexts import Mind
from support.facts import DAY
from support.imports import as_lines, as_markdown, erased, exported, imported
from support.memories import ALICE, NOON

SESSIONS = 30
HOMES = {0: "Paris", 8: "Berlin", 16: "Rome", 24: "Oslo"}
DEPTHS = ("basic", "wide", "deep", "temporal")
QUERY = "Where does Anna live?"
SECRET = "The door opens with zyxonite."
RESTORES = {"lived": None, "jsonl": as_lines, "markdown": as_markdown}


@dataclass
class Life:
    """`secret` was said on day 10 and its message deleted on day 11."""

    mind: Mind
    anna: View
    violin: list[str]
    deleted: int
    secret: str

    async def homes(self, depth: str, day: float, known: float | None = None) -> set[str]:
        """The cities told as Anna's home of that day."""
        known_at = None if known is None else NOON + known * DAY
        answer = await self.mind.ask(
            depth, QUERY, as_of=NOON + day * DAY, known_at=known_at, budget=20_000
        )
        found = [
            statement["text"]
            for entity in answer.packed.told()["entities"]
            for statement in entity.get("statements", ())
        ]
        return {city for city in HOMES.values() if f"Lives in {city}." in found}


@pytest.fixture(params=RESTORES)
async def life(mind: Mind, documents: MeteredDocuments, request: pytest.FixtureRequest) -> Life:
    """As it was lived, or as an import brings it back after everything was erased."""
    lived = await _lived(mind, documents)
    if (writer := RESTORES[request.param]) is not None:
        await _restored(documents, writer, mind.clock.now)
    return lived


async def _restored(documents: MeteredDocuments, writer: Callable[..., bytes], now: float) -> None:
    lines = await exported(documents)
    await erased(documents)
    assert not [one for one in await exported(documents) if one["type"] in {"message", "entity"}]
    report = await imported(documents, writer(*lines), now=now)
    assert (report.errors, report.whole) == ([], True)
    assert await exported(documents) == lines


async def _lived(mind: Mind, documents: MeteredDocuments) -> Life:
    """Day by day a session; Anna moves three times, is deleted on day 26 and restored on day 28."""
    anna, ids, deleted, secret = None, [], 0, ""
    edits = Edits(documents, Random(5), lambda text: len(text.split()))
    for day in range(SESSIONS):
        mind.clock.now = NOON + day * DAY
        session = f"session-{day}"
        said = await mind.says(f"Day {day}: I walked {day} miles.", session=session)
        if day in HOMES:
            statement = Given(f"Lives in {HOMES[day]}.", "home", said[:1])
            anna = await _moved(mind, anna, statement, NOON + day * DAY)
        if day == 5:
            ids = await mind.says("Anna plays the violin.", session=session)
            assert anna is not None
            anna = await mind.records.edit(
                anna, Changes(add=[Given("Plays the violin.", "music", ids[:1])])
            )
        if day == 10:
            secret = (await mind.says(SECRET, session=session))[0]
        if day == 11:
            await edits.delete(ALICE, secret)
        if day == 26:
            assert anna is not None
            deleted = (await mind.records.editor.end(ALICE, anna.id)).sequence or 0
        if day == 28:
            await mind.records.reversals.revert(ALICE, deleted)
    assert anna is not None
    mind.clock.now = NOON + SESSIONS * DAY
    return Life(mind, anna, ids, deleted, secret)


async def _moved(mind: Mind, anna: View | None, statement: Given, at: float) -> View:
    if anna is None:
        return await mind.records.editor.create(
            ALICE,
            kind="person",
            name="Anna",
            always_load=["home"],
            statements=[statement],
            valid_from=at,
        )
    return await mind.records.replace(
        anna, statement.text, place=_home(anna), sources=statement.sources, valid_from=at
    )


def _home(anna: View) -> int:
    homes = [i for i, one in enumerate(anna.content.statements) if one.block == "home"]
    return homes[-1]


async def test_every_depth_tells_the_home_of_every_date(life: Life) -> None:
    for depth in DEPTHS:
        for day in (0, 7, 8, 15.5, 16, 23, 24, 25, 29):
            home = HOMES[max(begun for begun in HOMES if begun <= day)]
            assert await life.homes(depth, day) == {home}, (depth, day)
        assert await life.homes(depth, -1) == set()


async def test_a_deletion_restored_leaves_what_was_known_between_as_it_was(life: Life) -> None:
    register = life.mind.records.register
    for depth in DEPTHS:
        assert await life.homes(depth, 27, known=27) == set()
        assert await life.homes(depth, 27, known=25.5) == {"Oslo"}
        assert await life.homes(depth, 27) == {"Oslo"}
    at = NOON + 27 * DAY
    with pytest.raises(NotFound):
        await register.get(ALICE, life.anna.id, as_of=at, known_at=at)


async def test_a_contradiction_learnt_late_changes_the_past_from_then_on(life: Life) -> None:
    mind = life.mind
    anna = await mind.records.register.get(ALICE, life.anna.id)
    first = anna.content.statements[0]
    await mind.records.replace(anna, "Lives in Lyon.", place=0, valid_from=NOON)
    mind.clock.now += DAY
    answer = await mind.ask("temporal", QUERY, as_of=NOON + DAY)
    (told,) = answer.packed.told()["entities"]
    assert [one["text"] for one in told["statements"]] == ["Lives in Lyon."]
    (past,) = [one for one in told["past"] if one["id"] == first.id]
    assert past["superseded_by"] == told["statements"][0]["id"]
    assert await life.homes("deep", 1, known=29) == {"Paris"}
    assert await life.homes("deep", 1) == set()
    assert await life.homes("deep", 9) == {"Berlin"}


async def test_every_statement_leads_to_the_message_it_came_from(life: Life) -> None:
    answer = await life.mind.ask("temporal", "violin", budget=20_000)
    (told,) = answer.packed.told()["entities"]
    sources = {one["text"]: one["sources"] for one in [*told["statements"], *told["past"]]}
    assert sources["Plays the violin."] == life.violin[:1]
    assert len(sources) == len(HOMES) + 1


async def test_the_timeline_of_a_date_has_what_was_said_until_then(life: Life) -> None:
    answer = await life.mind.ask("basic", as_of=NOON + 12.5 * DAY)
    timeline = answer.packed.told()["timeline"]
    said = [one["text"] for one in timeline if one["type"] == "message" and one["role"] == "user"]
    assert said[0] == "Day 12: I walked 12 miles."
    assert all(one["date"] <= date_of(NOON + 12.5 * DAY) for one in timeline)


async def test_a_message_that_was_deleted_is_in_no_context_of_any_date(life: Life) -> None:
    for depth in DEPTHS:
        for day in (10.5, 11, 29):
            for known in (None, 10.5):
                known_at = None if known is None else NOON + known * DAY
                when = {"as_of": NOON + day * DAY, "known_at": known_at}
                answer = await life.mind.ask(depth, SECRET, budget=20_000, **when)
                assert SECRET not in answer.packed.text
                assert life.secret not in str(answer.packed.told())


async def test_a_deleted_session_is_found_no_more(life: Life) -> None:
    await life.mind.scribe.log.delete_session(ALICE, "session-5")
    for depth in DEPTHS:
        told = (await life.mind.ask(depth, "violin miles", budget=20_000)).packed.told()
        ids = {one["id"] for one in (*told["messages"], *told["timeline"]) if "id" in one}
        assert life.violin[0] not in ids
