"""A thin client for the memory routes, and a first conversation with it. Chat needs no client of
ours: any OpenAI client will do. To take along, copy this file; it needs httpx alone.

    URL=http://127.0.0.1:8080 TOKEN=... python tests/examples/memory_client.py
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypedDict

import httpx

Json = dict[str, Any]
Role = Literal["reader", "writer", "owner"]
Depth = Literal["basic", "wide", "deep", "temporal"]
ItemType = Literal["message", "note", "fact", "summary"]


class Hit(TypedDict):
    """Of these a hit has more; `/docs` names them all."""

    id: str
    session_id: str | None
    role: str
    date: str
    text: str
    score: float


class Item(TypedDict):
    id: str
    workspace_id: str
    thread_id: str | None
    content: str
    item_type: ItemType
    created_at: float


class Refused(Exception):
    """What the service said, in OpenAI's shape."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {error.get('message')}")
        self.status = status
        self.code = error.get("code")
        self.param = error.get("param")


class MemoryClient:
    """`token` is a Google ID token or an API key; without a `workspace` it is the personal one."""

    def __init__(
        self, url: str, token: str, workspace: str | None = None, timeout_seconds: float = 30.0
    ) -> None:
        headers = {"authorization": f"Bearer {token}"}
        if workspace is not None:
            headers["x-workspace-id"] = workspace
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds)

    def __enter__(self) -> "MemoryClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def remember(self, messages: Iterable[Json], idempotency_key: str | None = None) -> list[str]:
        """The ids, in the order given. With a key it can be sent again after a failure."""
        headers = {"idempotency-key": idempotency_key} if idempotency_key else None
        stored = self._json("POST", "/v1/messages", {"messages": list(messages)}, headers=headers)
        return [str(one["id"]) for one in stored["data"]]

    def search(self, query: str, top_k: int = 5, **filters: Any) -> list[Hit]:
        body = {"query": query, "top_k": top_k, **filters}
        return list(self._json("POST", "/v1/memory/search", body)["data"])

    def context(self, conversation: str, depth: Depth = "basic", **wanted: Any) -> Json:
        body = {"conversation": conversation, "depth": depth, **wanted}
        return self._json("POST", "/v1/memory/context", body)

    def message(self, id: str) -> Json:
        return self._json("GET", f"/v1/messages/{id}")

    def change(self, id: str, **changes: Any) -> Json:
        return self._json("PATCH", f"/v1/messages/{id}", changes)

    def forget(self, id: str) -> None:
        self._json("DELETE", f"/v1/messages/{id}")

    def sessions(self) -> Iterator[Json]:
        return self._pages("/v1/sessions")

    def messages(self, session: str) -> Iterator[Json]:
        return self._pages(f"/v1/sessions/{session}/messages")

    def store_item(self, content: str, item_type: ItemType, thread_id: str = "notes") -> Item:
        body = {"content": content, "item_type": item_type, "thread_id": thread_id}
        stored: Any = self._json("POST", "/v1/items", body)
        item: Item = stored
        return item

    def items(self, **wanted: str) -> Iterator[Json]:
        return self._pages("/v1/items", wanted)

    def status(self) -> Json:
        return self._json("GET", "/v1/memory/status")

    def receipt(self, id: str) -> Json:
        return self._json("GET", f"/v1/memory/receipts/{id}")

    def export(self) -> Iterator[bytes]:
        """JSON lines as they come; the last says that the export is whole."""
        with self._http.stream("GET", "/v1/memory/export") as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            yield from answer.iter_bytes()

    def take_back(self, export: bytes) -> Json:
        headers = {"content-type": "application/x-ndjson"}
        answer = self._http.post("/v1/memory/import", content=export, headers=headers)
        return _told(answer)

    def erase(self) -> Json:
        return self._json("DELETE", "/v1/memory")

    def workspaces(self) -> Iterator[Json]:
        return self._pages("/v1/workspaces")

    def create_workspace(self, name: str) -> str:
        return str(self._json("POST", "/v1/workspaces", {"name": name})["id"])

    def add_member(self, workspace: str, member: str, role: Role) -> None:
        body = {"member": member, "role": role}
        self._json("POST", f"/v1/workspaces/{workspace}/members", body)

    def _pages(self, path: str, wanted: Mapping[str, str] | None = None) -> Iterator[Json]:
        query, more = dict(wanted or {}), True
        while more:
            answer = _told(self._http.get(path, params=query))
            yield from answer["data"]
            more = answer["has_more"]
            query["after"] = answer["next"] or ""

    def _json(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        return _told(self._http.request(method, path, json=body, headers=headers))


def _told(answer: httpx.Response) -> Json:
    _check(answer)
    told: Json = answer.json()
    return told


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise Refused(answer.status_code, answer.json()["error"])


def main() -> None:
    with MemoryClient(os.environ["URL"], os.environ["TOKEN"]) as memory:
        said = [
            {"content": "My dachshund is called Rex.", "session_id": "kitchen"},
            {"content": "Rex likes apples.", "session_id": "kitchen"},
        ]
        _, apples = memory.remember(said)
        for hit in memory.search("What does Rex like?"):
            print(f"{hit['date']}  {hit['score']:.2f}  {hit['text']}")
        memory.forget(apples)
        left = [one["content"] for one in memory.messages("kitchen")]
        print(f"after forgetting: {left}")


if __name__ == "__main__":
    main()
