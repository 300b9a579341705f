"""Documents in Firestore, through its generated asynchronous client.

Google's libraries take 0.2 s to import and finding credentials asks the network, so both wait for
the first use: a cold start shows a health page before them. A gRPC channel belongs to the event
loop it was made in and hangs in a forked child, which is why there is one per loop, made late.

Nothing is retried here and every call has a deadline. `FIRESTORE_EMULATOR_HOST` is honoured as by
Google's own clients: a plain channel, no credentials.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    StoreUnavailable,
    Update,
    Write,
    Written,
    check_distinct,
)
from gateway.documents.firestore_queries import Query, descendants, listing
from gateway.documents.firestore_wire import Message, document_of, put_write, written_of
from gateway.errors import TooLarge

HOT_SECONDS = 2.0
BULK_SECONDS = 30.0
PAGE = 500
LARGEST_BYTES = 1_000_000  # Firestore's mebibyte, less what its own count of a document may add
LARGEST_COMMIT_BYTES = 10 * LARGEST_BYTES

Kind = Literal["exists", "missing", "stale"]
CONFLICTS: Mapping[str, Kind] = {
    "ALREADY_EXISTS": "exists",
    "NOT_FOUND": "missing",
    "FAILED_PRECONDITION": "stale",
    "ABORTED": "stale",
}
OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # by default two minutes: it would outlast the outage
)


class FirestoreDocuments:
    """`hot_seconds` bounds `get` and `commit`, `bulk_seconds` `list` and `delete_tree`.

    A version is the document's update time. A write that leaves a document exactly as it was leaves
    its version too; an `Update` never does.
    """

    def __init__(
        self,
        project: str,
        database: str = "(default)",
        *,
        emulator_host: str | None = None,
        hot_seconds: float = HOT_SECONDS,
        bulk_seconds: float = BULK_SECONDS,
    ) -> None:
        self._database = f"projects/{project}/databases/{database}"
        self._root = f"{self._database}/documents"
        self._emulator_host = emulator_host or os.environ.get("FIRESTORE_EMULATOR_HOST")
        self._hot_seconds = hot_seconds
        self._bulk_seconds = bulk_seconds
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}

    async def get(self, *paths: str) -> list[Document | None]:
        if not paths:
            return []
        connection = await self._connection()
        found = await connection.read(paths, self._hot_seconds)
        by_path = {document.path: document for document in found}  # they come in any order
        return [by_path.get(path) for path in paths]

    async def commit(self, *writes: Write) -> list[Written]:
        """Apply all writes or none. Raises `Conflict` when a precondition fails.

        After `StoreUnavailable` the writes may have been applied all the same, the answer being
        lost: what must not happen twice needs a precondition. Raises `TooLarge` for a document
        too large for Firestore, `ValueError` for a path or value that Firestore cannot hold.
        """
        check_distinct(writes)
        if not writes:
            return []
        connection = await self._connection()
        return await connection.commit(writes, self._hot_seconds)

    async def list(
        self,
        collection: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        query = listing(
            self._root,
            collection,
            after=after,
            before=before,
            limit=limit,
            newest_first=newest_first,
        )
        connection = await self._connection()
        return await connection.query(query, self._bulk_seconds)

    async def delete_tree(self, path: str, *, limit: int = PAGE) -> int:
        """Costs a read (of the name alone) and a delete per document, one read at the end."""
        connection = await self._connection()
        query = descendants(self._root, path, limit=min(limit, PAGE))
        found = await connection.query(query, self._bulk_seconds)
        if found:
            await connection.commit([Delete(each.path) for each in found], self._bulk_seconds)
        return len(found)

    async def close(self) -> None:
        """Close this event loop's client; another loop that still runs closes its own."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.close()

    async def _connection(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            credentials = await asyncio.to_thread(_prepare, self._emulator_host)
            for other in [each for each in self._connections if each.is_closed()]:
                del self._connections[other]
            if loop not in self._connections:  # several first requests may have come this far
                connection = _Connection(self._database, self._emulator_host, credentials)
                self._connections[loop] = connection
        return self._connections[loop]


class _Connection:
    """A client and its channel, for the event loop it is made in.

    Requests are made of bare protobuf messages, which take less of the CPU than `AsyncClient`'s.
    """

    def __init__(self, database: str, emulator_host: str | None, credentials: Any) -> None:
        from google.cloud.firestore_v1 import types
        from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
        from google.cloud.firestore_v1.services.firestore.transports import (
            FirestoreGrpcAsyncIOTransport,
        )

        self._types: Any = types
        self._database = database
        self._root = f"{database}/documents"
        self._metadata = [("google-cloud-resource-prefix", database)]
        host = emulator_host or FirestoreGrpcAsyncIOTransport.DEFAULT_HOST
        if emulator_host:
            self._metadata.append(("authorization", "Bearer owner"))
            channel = _plain_channel(emulator_host)
        else:
            channel = FirestoreGrpcAsyncIOTransport.create_channel(
                host, credentials=credentials, options=OPTIONS
            )
        self._client: Any = FirestoreAsyncClient(
            transport=FirestoreGrpcAsyncIOTransport(host=host, channel=channel)
        )

    async def read(self, paths: Sequence[str], seconds: float) -> list[Document]:
        names = [f"{self._root}/{path}" for path in paths]
        request = self._types.BatchGetDocumentsRequest(database=self._database, documents=names)
        with _translated_errors():
            answers = await self._client.batch_get_documents(request, **self._settings(seconds))
            return await self._found(answers, self._types.BatchGetDocumentsResponse, "found")

    async def commit(self, writes: Sequence[Write], seconds: float) -> list[Written]:
        request = self._types.CommitRequest.pb()(database=self._database)
        for write in writes:
            put_write(request.writes.add(), self._root, write)
        _check_size(request)
        wrapped = self._types.CommitRequest.wrap(request)
        with _translated_errors(writes):
            answer = await self._client.commit(wrapped, **self._settings(seconds))
        bare = self._types.CommitResponse.pb(answer)
        answered = zip(writes, bare.write_results, strict=True)
        return [written_of(write, result, bare.commit_time) for write, result in answered]

    async def query(self, request: Query, seconds: float) -> list[Document]:
        with _translated_errors():
            answers = await self._client.run_query(request, **self._settings(seconds))
            return await self._found(answers, self._types.RunQueryResponse, "document")

    async def close(self) -> None:
        await self._client.transport.close()

    async def _found(self, answers: Any, kind: Any, field: str) -> list[Document]:
        """The documents of a stream, whose messages may also hold none."""
        bare = [kind.pb(answer) async for answer in answers]
        return [
            document_of(self._root, getattr(each, field)) for each in bare if each.HasField(field)
        ]

    def _settings(self, seconds: float) -> dict[str, Any]:
        return {"retry": None, "timeout": seconds, "metadata": self._metadata}


def _prepare(emulator_host: str | None) -> Any:
    """Imports what is slow to import and finds credentials, which may ask the metadata server."""
    import google.auth
    import google.cloud.firestore_v1

    if emulator_host:
        return None
    try:
        return google.auth.default()[0]
    except google.auth.exceptions.GoogleAuthError as error:
        raise StoreUnavailable() from error


def _plain_channel(host: str) -> Any:
    import grpc.aio  # type: ignore[import-untyped]  # grpcio ships no types

    return grpc.aio.insecure_channel(host, options=[*OPTIONS, ("grpc.enable_http_proxy", 0)])


def _check_size(commit: Message) -> None:
    """Refuse what Firestore would, before it is sent."""
    largest = max(write.ByteSize() for write in commit.writes)
    if largest > LARGEST_BYTES or commit.ByteSize() > LARGEST_COMMIT_BYTES:
        raise TooLarge("This is more than the document store can hold in one piece.")


@contextlib.contextmanager
def _translated_errors(writes: Sequence[Write] = ()) -> Iterator[None]:
    from google.api_core.exceptions import GoogleAPICallError, InvalidArgument

    try:
        yield
    except InvalidArgument as error:
        raise ValueError("Firestore cannot hold this path or value.") from error
    except GoogleAPICallError as error:
        raise _conflict(error, writes) or StoreUnavailable() from error


def _conflict(error: Any, writes: Sequence[Write]) -> Conflict | None:
    """The failed precondition that `error` tells of, if it tells of one.

    An existing document is named in the error's text. A stale one is not, and one deleted since
    looks the same: then the first write with a version is named, and `stale` may mean `missing`.
    Contention aborts a commit too, and for a write with a version that is as good as a conflict.
    """
    kind = CONFLICTS.get(error.grpc_status_code.name)
    if kind is None:
        return None
    suspects = [write.path for write in writes if _has_precondition(write, kind)]
    named = [path for path in suspects if f"/{path}" in str(error)]
    return Conflict(max(named, key=len) if named else suspects[0], kind) if suspects else None


def _has_precondition(write: Write, kind: Kind) -> bool:
    if kind == "exists":
        return isinstance(write, Create)
    return isinstance(write, Update) or (isinstance(write, Delete) and write.version is not None)
