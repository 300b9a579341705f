"""The conversation at hand: what of it is ranked beside the memory."""

from gateway.chat.conversation import Conversation, cut_index
from gateway.chat.prompt import Item, Layout
from gateway.memory.alignment import Alignment
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head, Owner

SAID = {"m1": "The boat is called Vega.", "m2": "Rex likes apples.", "m3": "Rent is due."}


def conversation(**matched: str) -> Conversation:
    alignment = Alignment(matched=dict(enumerate(matched.values())))
    loaded = Loaded(Owner(), Head("s"))
    return Conversation("alice", [], [], 0, [], {}, alignment, loaded)


def test_what_was_cut_and_is_not_stored_has_no_date_of_its_own() -> None:
    items = [Item({"role": "user", "content": text}, 5, id) for id, text in SAID.items()]
    index = cut_index(conversation(first="m1"), Layout([], items), now=1_000.0)
    (boat, rent) = [passage for chunk in index.chunks for passage in chunk.passages]
    assert (boat.text, rent.text) == (SAID["m2"], SAID["m3"])
    assert not boat.dated
    assert not rent.dated
