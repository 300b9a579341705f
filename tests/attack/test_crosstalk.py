"""Disclosure between people: no cache of the gateway's, and none of the retriever's, is asked about
one person in another's name. `tests/service/test_isolation.py` tries every route with every id."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.chats import UNRELATED, Person, user
from support.retriever import LoopbackRetriever, texts_of
from support.service import serving
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

SESSION = "shared-name"
ASKED = "What is the colour of the boat?"
PATIENCE_SECONDS = 30.0
SETTINGS = {
    "MEMORY_COMPRESS_ABOVE_TOKENS": "1",
    "RETRIEVER_DEADLINE_SECONDS": "20",
    "API_KEYS": "ada:sk-ada,eve:sk-eve",
}


@pytest.fixture
def retriever() -> Iterator[LoopbackRetriever]:
    with LoopbackRetriever(attends_to="boat") as running:
        yield running


@pytest.fixture
def ranked(
    retriever: LoopbackRetriever, running_upstream: LoopbackUpstream, tmp_path: Path
) -> Iterator[httpx.Client]:
    with (
        serving(
            tmp_path,
            **SETTINGS,
            UPSTREAM_BASE=running_upstream.base_url,
            RETRIEVER_URL=retriever.origin,
        ) as running,
        httpx.Client(base_url=running.url, timeout=PATIENCE_SECONDS, trust_env=False) as client,
    ):
        yield client


def test_the_retriever_is_asked_about_one_owner_at_a_time_under_a_name_that_tells_nothing(
    ranked: httpx.Client, upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> None:
    owners = {}
    for name, colour in (("ada", "turquoise"), ("eve", "red")):
        person = Person(ranked, {"x-api-key": f"sk-{name}"})
        person.keeps(*UNRELATED, f"The boat of {name} is {colour}.", session=SESSION)
        retriever.requests.clear()
        person.says(user(ASKED), session="ask")
        asked = retriever.asked("rank")
        assert asked
        texts = " ".join(text for one in asked for text in texts_of(one))
        assert colour in texts
        (owners[name],) = {one.json["owner"] for one in asked}
    assert "turquoise" not in texts
    assert owners["ada"] != owners["eve"]
    assert not any(name in owner for owner in owners.values() for name in ("ada", "eve"))


def test_the_same_words_of_two_people_are_two_memories(
    ranked: httpx.Client, upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> None:
    """What is keyed by a hash of text alone would meet here: session, fingerprint, question."""
    ada, eve = (Person(ranked, {"x-api-key": f"sk-{name}"}) for name in ("ada", "eve"))
    ada.keeps("The boat of ada is turquoise.", session=SESSION)
    history = [user("Hello there")]
    ada.says(*history)
    answered = ada.ask(user(ASKED), key="same-key").raise_for_status()
    assert "turquoise" in upstream.requests[-1].body.decode()
    for asked in (
        eve.ask(user(ASKED), key="same-key"),
        eve.ask(*history),
        eve.ask(user(ASKED), session=answered.headers["x-session-id"]),
    ):
        assert "idempotent-replayed" not in asked.raise_for_status().headers
        assert "turquoise" not in upstream.requests[-1].body.decode()


def test_a_key_of_idempotency_is_its_owners_alone_and_a_replay_is_paid_once(
    ranked: httpx.Client, upstream: LoopbackUpstream, retriever: LoopbackRetriever
) -> None:
    ada, eve = (Person(ranked, {"x-api-key": f"sk-{name}"}) for name in ("ada", "eve"))
    body = user("Hello there")
    first, again = (ada.ask(body, session="s", key="k").raise_for_status() for _ in range(2))
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert len(upstream.requests) == 1
    stolen = eve.ask(body, session="s", key="k").raise_for_status()
    assert "idempotent-replayed" not in stolen.headers
    assert len(upstream.requests) == 2
