"""What may stand beside a message's text: how much it matters, how long it is kept, whose it is."""

from typing import Any

import httpx
import pytest

from support.chats import Json, Person, block_of, remembered_texts, sent, user
from support.upstream import LoopbackUpstream

pytestmark = pytest.mark.service

DACHSHUND = "My dachshund is called Rex."
ASKED = "What is my dachshund called?"
FAR = 4_000_000_000


@pytest.fixture
def alice(http: httpx.Client, person: dict[str, str]) -> Person:
    return Person(http, person)


def store(person: Person, body: Any) -> httpx.Response:
    return person.http.post("/v1/messages", json=body, headers=person.headers)


def stored(person: Person, **fields: Any) -> str:
    answer = store(person, {"content": DACHSHUND, **fields}).raise_for_status()
    return str(answer.json()["data"][0]["id"])


def patch(person: Person, id: str, **changes: Any) -> httpx.Response:
    return person.http.patch(f"/v1/messages/{id}", json=changes, headers=person.headers)


def read(person: Person, id: str) -> Json:
    told: Json = person.get(f"/v1/messages/{id}").raise_for_status().json()
    return told


def refused(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status
    error: Json = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_message_comes_with_an_importance_a_pin_and_an_end(alice: Person) -> None:
    metadata = {"source": "diary"}
    told = read(alice, stored(alice, importance_override=0.9, expires_at=FAR, metadata=metadata))
    assert (told["importance_override"], told["expires_at"]) == (0.9, FAR)
    assert (told["pin"], told["metadata"]) == (False, metadata)
    assert (told["importance"]["value"], told["importance"]["reason"]) == (0.9, "override")
    pinned = read(alice, stored(alice, importance_override=0, pin=True))
    assert (pinned["importance"]["value"], pinned["importance"]["reason"]) == (1, "pinned")
    plain = read(alice, stored(alice))
    assert (plain["importance_override"], plain["expires_at"]) == (None, None)
    parts = plain["importance"]
    weighed = 0.4 * parts["retention"] + 0.2 * parts["role"] + 0.4 * parts["salience"]
    assert (parts["value"], parts["reason"]) == (pytest.approx(weighed), "computed")


def test_each_message_of_a_batch_has_its_own(alice: Person) -> None:
    given = [{"content": f"{n}", "importance_override": n / 10} for n in range(10)]
    store(alice, {"messages": given}).raise_for_status()
    told = [one["importance_override"] for one in alice.told("notes")]
    assert told == [n / 10 for n in range(10)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"importance_override": 1.1}, "importance_override"),
        ({"importance_override": -0.1}, "importance_override"),
        ({"importance_override": True}, "importance_override"),
        ({"importance_override": "high"}, "importance_override"),
        ({"expires_at": 1_700_000_000}, "expires_at"),
        ({"expires_at": "2023-01-01"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"pin": "yes"}, "pin"),
        ({"pin": 1}, "pin"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(
    alice: Person, fields: Json, param: str
) -> None:
    assert refused(store(alice, {"content": "x", **fields}), 400)["param"] == param
    batch = {"messages": [{"content": "x"}, {"content": "x", **fields}]}
    assert refused(store(alice, batch), 400)["param"] == f"messages[1].{param}"
    assert alice.sessions() == []
    id = stored(alice)
    assert refused(patch(alice, id, **fields), 400)["param"] == param
    assert read(alice, id)["importance_override"] is None


def test_an_override_takes_the_place_of_a_name_among_the_metadata(alice: Person) -> None:
    full = {f"k{n}": n for n in range(16)}
    both = {"content": "x", "metadata": full, "importance_override": 0.5}
    assert refused(store(alice, both), 400)["param"] == "metadata"
    id = stored(alice, metadata=full)
    assert refused(patch(alice, id, importance_override=0.5), 400)["param"] == "metadata"
    assert read(alice, id)["metadata"] == full


def test_an_importance_and_an_end_change_and_are_taken_away(alice: Person) -> None:
    id = stored(alice, metadata={"source": "diary"})
    patch(alice, id, importance_override=0.2, expires_at=FAR).raise_for_status()
    patch(alice, id, metadata={"source": "letter"}, pin=None).raise_for_status()
    told = read(alice, id)
    assert (told["importance_override"], told["expires_at"]) == (0.2, FAR)
    assert told["metadata"] == {"source": "letter"}
    patch(alice, id, importance_override=None, expires_at=None).raise_for_status()
    after = read(alice, id)
    assert (after["importance_override"], after["expires_at"]) == (None, None)
    assert (after["metadata"], after["content"]) == ({"source": "letter"}, DACHSHUND)
    assert refused(patch(alice, id, content=None, pin=None), 400)["param"] is None


@pytest.mark.parametrize("name", ["user_id", "tenant_id"])
def test_somebody_elses_name_beside_a_message_is_refused(alice: Person, name: str) -> None:
    """One's own, or none, decides nothing."""
    other = {name: "key:bob"}
    assert refused(store(alice, {"content": "x", **other}), 403)["param"] == name
    assert refused(store(alice, {"messages": [{"content": "x", **other}]}), 403)["param"] == name
    assert refused(store(alice, {"messages": [{"content": "x"}], **other}), 403)["param"] == name
    assert alice.sessions() == []
    id = stored(alice, **{name: None})
    assert refused(patch(alice, id, content="Mine.", **other), 403)["param"] == name
    assert read(alice, id)["content"] == DACHSHUND


def listed(person: Person, query: str = "") -> Json:
    answer = person.get(f"/v1/sessions/notes/messages?limit=3{query}")
    told: Json = answer.raise_for_status().json()
    return told


def texts(page: Json) -> list[str]:
    return [one["content"] for one in page["data"]]


def test_a_session_is_read_forwards_and_backwards(alice: Person) -> None:
    alice.keeps(*(str(n) for n in range(8)))
    ids = [one["id"] for one in alice.told("notes")]
    first = listed(alice)
    assert (texts(first), first["next"], first["previous"]) == (["0", "1", "2"], ids[2], None)
    back = listed(alice, f"&before={ids[7]}")
    assert (texts(back), back["next"], back["previous"]) == (["4", "5", "6"], None, ids[4])
    assert back["has_more"]
    earlier = listed(alice, f"&before={back['previous']}")
    assert (texts(earlier), earlier["previous"]) == (["1", "2", "3"], ids[1])
    earliest = listed(alice, f"&before={earlier['previous']}")
    assert (texts(earliest), earliest["previous"], earliest["has_more"]) == (["0"], None, False)
    between = listed(alice, f"&after={ids[1]}&before={ids[4]}")
    assert (texts(between), between["has_more"]) == (["2", "3"], False)
    assert texts(listed(alice, f"&after={ids[1]}&before={ids[7]}")) == ["2", "3", "4"]
    assert texts(listed(alice, f"&after={ids[4]}&before={ids[1]}")) == []
    assert texts(listed(alice, f"&before={ids[0]}")) == []


def test_a_before_that_is_no_message_of_the_session_is_refused(alice: Person) -> None:
    alice.keeps("x")
    for before in ("", "m0000000000000000", "%00"):
        answer = alice.get(f"/v1/sessions/notes/messages?before={before}")
        assert refused(answer, 400)["param"] == "before"


def test_the_importance_is_told_with_each_message_of_a_session(alice: Person) -> None:
    alice.knows(DACHSHUND)
    id = stored(alice, importance_override=0.7)
    page = alice.get("/v1/sessions/notes/messages?include=importance").raise_for_status().json()
    for one in page["data"]:
        parts, single = dict(one["importance"]), dict(read(alice, one["id"])["importance"])
        assert parts.pop("reason") == single.pop("reason")
        assert parts == pytest.approx(single, abs=1e-4)
    assert [one["importance"]["value"] for one in page["data"] if one["id"] == id] == [0.7]
    assert "importance" not in alice.told("notes")[0]
    answer = alice.get("/v1/sessions/notes/messages?include=all")
    assert refused(answer, 400)["param"] == "include"


def receipt_of(person: Person, answer: httpx.Response) -> Json:
    path = f"/v1/memory/receipts/{answer.headers['x-memory-receipt']}"
    told: Json = person.get(path).raise_for_status().json()
    return told


def test_a_receipt_tells_why_and_what_has_become_of_it(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.knows(DACHSHUND)
    answer = alice.ask(user(ASKED), session="s").raise_for_status()
    receipt = receipt_of(alice, answer)
    line = receipt["lines"][0]
    (id,) = [one["id"] for one in alice.told("notes")]
    assert (line["id"], line["rank"], line["ranks"]) == (id, 1, {"lexical": 1})
    assert line["score"] > 0
    assert line["tokens"] > 0
    assert (line["deleted"], line["archived"], line["changed"]) == (False, False, False)
    assert receipt["tokens"]["before"] == int(answer.headers["x-tokens-before"])
    assert receipt["tokens"]["after"] == int(answer.headers["x-tokens-after"])
    assert set(receipt["layout"]) == {"instructions", "verbatim", "cut", "remembered"}
    assert set(receipt["seconds"]) == {"recall", "total"}
    assert DACHSHUND not in str(receipt)
    patch(alice, id, content="My dachshund is called Poodle.").raise_for_status()
    assert receipt_of(alice, answer)["lines"][0]["changed"] is True
    alice.http.delete(f"/v1/messages/{id}", headers=alice.headers).raise_for_status()
    gone = receipt_of(alice, answer)["lines"][0]
    assert (gone["deleted"], gone["changed"]) == (True, None)


def test_a_message_deleted_by_its_hit_is_in_no_prompt_nor_search_again(
    alice: Person, upstream: LoopbackUpstream
) -> None:
    alice.knows(DACHSHUND)
    alice.says(user(ASKED), session="one")
    assert DACHSHUND in remembered_texts(sent(upstream))
    found = alice.get(f"/v1/memory/search?query={ASKED}").raise_for_status().json()["data"]
    (id,) = [one["id"] for one in found if one["text"] == DACHSHUND]
    alice.http.delete(f"/v1/messages/{id}", headers=alice.headers).raise_for_status()
    for session in ("one", "two"):
        alice.says(user(ASKED), session=session)
        assert DACHSHUND not in block_of(sent(upstream))
        assert not any(DACHSHUND in str(one["content"]) for one in sent(upstream))
    after = alice.get(f"/v1/memory/search?query={ASKED}&k=50").json()["data"]
    assert DACHSHUND not in [one["text"] for one in after]
    assert alice.get(f"/v1/messages/{id}").status_code == 404


def test_what_is_archived_is_read_and_deleted_but_not_changed(alice: Person) -> None:
    line = {"role": "user", "content": DACHSHUND, "session_id": "old", "archived": True}
    taken = alice.http.post("/v1/memory/import", json=line, headers=alice.headers)
    assert taken.raise_for_status().json()["archived"] == 1
    query = "/v1/memory/search?query=dachshund&include_archived=true"
    (hit,) = alice.get(query).raise_for_status().json()["data"]
    told = read(alice, hit["id"])
    assert (told["archived"], told["content"]) == (True, DACHSHUND)
    assert refused(patch(alice, hit["id"], pin=True), 409)["code"] == "message_archived"
    path = f"/v1/messages/{hit['id']}"
    alice.http.delete(path, headers=alice.headers).raise_for_status()
    assert refused(patch(alice, hit["id"], pin=True), 404)["code"] == "message_not_found"
    assert alice.get(query).json()["data"] == []
