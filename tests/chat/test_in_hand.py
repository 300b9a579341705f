"""What the prompt holds already is not quoted to it again."""

from gateway.chat.conversation import Conversation
from gateway.chat.in_hand import InHand
from gateway.chat.prompt import Item, Layout
from gateway.memory.alignment import Alignment
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner
from gateway.redaction.redactor import Redactor
from gateway.retrieval.base import Passage

BOAT = "The boat is called Vega."
MAIL = "Write to vega@example.com about the boat."


def in_hand(*texts: str, unquoted: str = "", redacts: bool = False) -> InHand:
    items = [Item({"role": "user", "content": text}, 5, f"m{i}") for i, text in enumerate(texts)]
    loaded, redactor = Loaded(Owner(), Head("s")), Redactor(enabled=redacts)
    conversation = Conversation(
        "alice", [], [], 0, [], {}, Alignment(), loaded, redactor=redactor, unquoted=unquoted
    )
    return InHand(Layout(items), conversation)


def remembered(text: str, id: str = "m9", session: str = "other") -> Passage:
    return Passage(id, session, "user", text, 5, 0.0)


def test_a_message_is_in_hand_by_its_id_and_by_its_words_from_another_session() -> None:
    held = in_hand(BOAT)
    assert held(remembered("as it was edited", id="m0"))
    assert held(remembered(f" {BOAT}\n"))
    assert not held(remembered("The bike is called Rigel."))


def test_words_stored_redacted_are_in_hand_where_the_prompt_has_them_in_full() -> None:
    stored = Redactor(enabled=True).text(MAIL)
    assert stored != MAIL
    assert in_hand(MAIL, redacts=True)(remembered(stored))
    assert not in_hand(BOAT, redacts=True)(remembered(stored))


def test_all_of_a_session_that_the_upstream_goes_on_from_is_in_hand() -> None:
    held = in_hand(BOAT, unquoted="kept")
    assert held(remembered("anything at all", session="kept"))
    assert not held(remembered("anything at all"))
