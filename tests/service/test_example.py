"""The example of a client, run as its first lines say, and its methods against the service."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.memory_client import MemoryClient, Refused
from support.service import Service

pytestmark = pytest.mark.service

SCRIPT = Path(__file__).parents[1] / "examples" / "memory_client.py"


@pytest.fixture
def token(sign_in: Callable[[], str]) -> str:
    return sign_in()


@pytest.fixture
def memory(service: Service, token: str) -> Iterator[MemoryClient]:
    with MemoryClient(service.url, token) as client:
        yield client


def test_it_runs(service: Service, token: str) -> None:
    environment = {"PATH": os.environ["PATH"], "URL": service.url, "TOKEN": token}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=True
    )
    assert "Rex likes apples." in ran.stdout
    assert ran.stdout.endswith("after forgetting: ['My dachshund is called Rex.']\n")


def test_a_memory_is_taken_along_burnt_and_brought_back(memory: MemoryClient) -> None:
    said = [{"content": f"The borzoi walks {n}.", "session_id": f"s{n % 3}"} for n in range(230)]
    ids = memory.remember(said, idempotency_key="past")
    assert memory.remember(said, idempotency_key="past") == ids
    assert {one["id"] for one in memory.sessions()} == {"s0", "s1", "s2"}
    assert len({one["id"] for one in memory.items()}) == 230
    whole = b"".join(memory.export())
    memory.erase()
    assert memory.search("borzoi") == []
    memory.take_back(whole)
    assert len(list(memory.messages("s1"))) == 77
    assert memory.status()["messages"] == 230


def test_a_message_is_changed_and_forgotten(memory: MemoryClient) -> None:
    (id,) = memory.remember([{"content": "Rex likes pears."}])
    assert memory.change(id, content="Rex likes apples.")["content"] == "Rex likes apples."
    assert memory.message(id)["content"] == "Rex likes apples."
    assert [hit["id"] for hit in memory.search("apples", role="user")] == [id]
    assert "Rex likes apples." in memory.context("What does Rex like?", "wide")["text"]
    memory.forget(id)
    with pytest.raises(Refused) as error:
        memory.message(id)
    assert (error.value.status, error.value.code) == (404, "message_not_found")


def test_a_workspace_is_shared(service: Service, memory: MemoryClient, token: str) -> None:
    id = memory.create_workspace("Household")
    memory.add_member(id, "key:alice", "reader")
    assert [one["id"] for one in memory.workspaces()] == ["personal", id]
    with MemoryClient(service.url, token, id) as mine:
        stored = mine.store_item("The oven is slow.", "fact")
    with MemoryClient(service.url, "sk-alice", id) as alice:
        assert [one["id"] for one in alice.items(item_type="fact")] == [stored["id"]]
        with pytest.raises(Refused) as error:
            alice.store_item("No.", "note")
    assert (error.value.status, error.value.code) == (403, "role_insufficient")
    assert list(memory.items()) == []
