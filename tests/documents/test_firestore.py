"""What only Firestore can do wrong, on the real emulator or against a gRPC server that fails."""

import asyncio
import datetime
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
import uvloop
from google.cloud.firestore import AsyncClient

from gateway.documents.base import (
    Add,
    Conflict,
    Create,
    Delete,
    Set,
    StoreUnavailable,
    Update,
    Write,
)
from gateway.documents.firestore import BULK_SECONDS, HOT_SECONDS, FirestoreDocuments
from gateway.errors import TooLarge
from support.emulator import Emulator

PATIENCE_SECONDS = 20.0
KIB = 1024


def opened(emulator: Emulator, project: str, database: str = "(default)") -> FirestoreDocuments:
    """More patient than the service: a loaded machine is no outage."""
    return FirestoreDocuments(
        project, database, emulator_host=emulator.host, hot_seconds=PATIENCE_SECONDS
    )


@pytest.fixture
async def documents(emulator: Emulator, project: str) -> AsyncIterator[FirestoreDocuments]:
    made = opened(emulator, project)
    yield made
    await made.close()


@pytest.fixture
async def writers(emulator: Emulator, project: str) -> AsyncIterator[list[FirestoreDocuments]]:
    """Four instances over one database."""
    async with AsyncExitStack() as stack:
        made = [opened(emulator, project) for _ in range(4)]
        for each in made:
            stack.push_async_callback(each.close)
        yield made


# what is stored


async def test_an_expiry_is_a_timestamp_that_a_ttl_policy_reads(
    documents: FirestoreDocuments, emulator: Emulator, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await documents.commit(Create("c/a", {"n": 1}, expires_at=1_800_000_000.25))
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
    google = AsyncClient(project=project)
    stored = (await google.document("c/a").get()).to_dict()
    expected = datetime.datetime.fromtimestamp(1_800_000_000.25, datetime.UTC)
    assert stored == {"n": 1, "~id": "a", "expires_at": expected}
    google.close()  # type: ignore[no-untyped-call]  # untyped by Google


async def test_a_version_is_the_exact_time_of_the_write(documents: FirestoreDocuments) -> None:
    """Forty writes: among them some whose last digits are zeros."""
    (written,) = await documents.commit(Create("c/a", {"n": 0}))
    for n in range(40):
        (read,) = await documents.get("c/a")
        assert read is not None
        assert read.version == written.version
        (written,) = await documents.commit(Update("c/a", {"n": n}, read.version))


async def test_a_document_of_900_kib_is_kept(documents: FirestoreDocuments) -> None:
    text = "\U0001f9e0" * (900 * KIB // 4)
    await documents.commit(Set("c/a", {"text": text}))
    (found,) = await documents.get("c/a")
    assert found is not None
    assert found.fields["text"] == text


async def test_several_large_documents_are_committed_and_read_at_once(
    documents: FirestoreDocuments,
) -> None:
    paths = [f"c/{n}" for n in range(9)]
    for three in (paths[:3], paths[3:6], paths[6:]):  # the emulator takes 4 MiB, Firestore 10
        await documents.commit(*(Set(path, {"text": "x" * 900 * KIB}) for path in three))
    assert None not in await documents.get(*paths)
    assert len(await documents.list("c")) == 9


async def test_a_document_that_is_too_large_is_refused_and_nothing_is_written(
    documents: FirestoreDocuments,
) -> None:
    with pytest.raises(TooLarge):
        await documents.commit(Set("c/small", {}), Set("c/a", {"text": "x" * 1024 * KIB}))
    with pytest.raises(TooLarge):
        await documents.commit(*(Set(f"c/{n}", {"text": "x" * 900 * KIB}) for n in range(12)))
    assert await documents.list("c") == []


@pytest.mark.parametrize("path", ["c", "c/a/b", "c/__reserved__", "c/.", "c/" + "x" * 1501])
async def test_a_path_that_firestore_cannot_hold_is_a_value_error(
    documents: FirestoreDocuments, path: str
) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        await documents.commit(Set(path, {}))


async def test_databases_and_projects_are_strangers(emulator: Emulator, project: str) -> None:
    stores = [
        opened(emulator, project),
        opened(emulator, project, "second"),
        opened(emulator, f"{project}-other"),
    ]
    for n, store in enumerate(stores):
        await store.commit(Create("c/a", {"n": n}))
    for n, store in enumerate(stores):
        (found,) = await store.get("c/a")
        assert found is not None
        assert found.fields == {"n": n}
        await store.close()


# conflicts


async def test_of_several_creations_the_one_that_exists_is_named(
    documents: FirestoreDocuments,
) -> None:
    await documents.commit(Create("c/ab", {}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(Set("c/s", {}), Create("c/a", {}), Create("c/ab", {}))
    assert (caught.value.kind, caught.value.path) == ("exists", "c/ab")


async def test_of_several_updates_the_first_is_named(documents: FirestoreDocuments) -> None:
    first, second = await documents.commit(Create("c/a", {}), Create("c/b", {}))
    await documents.commit(Set("c/b", {"n": 1}))
    with pytest.raises(Conflict) as caught:
        await documents.commit(
            Set("c/s", {}), Update("c/a", {}, first.version), Update("c/b", {}, second.version)
        )
    assert (caught.value.kind, caught.value.path) == ("stale", "c/a")


async def test_of_20_writers_with_one_version_exactly_one_wins(
    writers: list[FirestoreDocuments],
) -> None:
    (created,) = await writers[0].commit(Create("c/a", {}))
    outcomes = await asyncio.gather(
        *(
            writers[n % 4].commit(Update("c/a", {"by": n}, created.version), Add("c/n", {"n": 1}))
            for n in range(20)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
    won = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    found, counted = await writers[0].get("c/a", "c/n")
    assert found is not None
    assert counted is not None
    assert [found.fields["by"]] == won
    assert counted.fields == {"n": 1}


async def test_200_concurrent_adds_are_all_counted(writers: list[FirestoreDocuments]) -> None:
    written = await asyncio.gather(
        *(writers[n % 4].commit(Add("c/a", {"n": 1, "m": 2})) for n in range(200))
    )
    assert sorted(each.values["n"] for (each,) in written) == list(range(1, 201))
    assert sorted(each.values["m"] for (each,) in written) == list(range(2, 402, 2))


# trees


async def test_a_tree_of_more_than_a_page_is_deleted_page_by_page(
    documents: FirestoreDocuments,
) -> None:
    await documents.commit(*(Create(f"c/a/d{n % 7}/{n}", {"n": n}) for n in range(1_001)))
    await documents.commit(Create("c/a", {}), Create("c/ab/d/x", {}), Create("ca/a/d/x", {}))
    assert [await documents.delete_tree("c/a", limit=900) for _ in range(4)] == [500, 500, 2, 0]
    assert None not in await documents.get("c/ab/d/x", "ca/a/d/x")


async def test_a_tree_ends_where_its_neighbours_begin(documents: FirestoreDocuments) -> None:
    """Neighbours by path, by what sorts around the slash, and by the same names further down."""
    inside = ["o/b", "o/b/i/x", "o/b/i/x/j/y/k/z", "o/b/\x01/x", "o/b/i/\U0010ffff"]
    outside = ["o/b\x01", "o/b\x01/i/x", "o/b-/i/x", "o/b.", "o/b0/i/x", "o/bb/i/x", "ob/b/i/x"]
    outside += ["o/a/i/x", "o/a/o/b", "o/a/o/b/i/x", "o/c/b/i", "p/o/o/b", "b/i/i/x"]
    await documents.commit(*(Create(path, {}) for path in (*inside, *outside)))
    assert await documents.delete_tree("o/b") == len(inside)
    assert await documents.get(*inside) == [None] * len(inside)
    assert None not in await documents.get(*outside)


async def test_a_nested_collection_is_a_tree(documents: FirestoreDocuments) -> None:
    inside = ["o/b/i/x", "o/b/i/x/j/y", "o/b/i/\x01"]
    outside = ["o/b", "o/b/ii/x", "o/b/i-/x", "o/b/i\x01/x", "o/c/i/x", "i/x"]
    await documents.commit(*(Create(path, {}) for path in (*inside, *outside)))
    assert await documents.delete_tree("o/b/i") == 3
    assert None not in await documents.get(*outside)


# event loops and processes


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_one_instance_serves_several_event_loops(
    emulator: Emulator, project: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    documents = opened(emulator, project)

    async def add(closing: bool) -> float:
        (written,) = await documents.commit(Add("c/a", {"n": 1}))
        if closing:
            await documents.close()
        return written.values["n"]

    for n, closing in enumerate((False, True, False, True), start=1):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(add(closing)) == n


def test_event_loops_of_several_threads_serve_at_once(emulator: Emulator, project: str) -> None:
    documents = opened(emulator, project)
    values: list[float] = []

    async def add() -> None:
        for _ in range(20):
            (written,) = await documents.commit(Add("c/a", {"n": 1}))
            values.append(written.values["n"])
        await documents.close()

    threads = [threading.Thread(target=lambda: asyncio.run(add())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(values) == list(range(1, 61))


async def test_closed_an_instance_opens_again(documents: FirestoreDocuments) -> None:
    await documents.close()
    await documents.commit(Add("c/a", {"n": 1}))
    await documents.close()
    await documents.close()
    (written,) = await documents.commit(Add("c/a", {"n": 1}))
    assert written.values == {"n": 2}


async def test_first_requests_that_come_at_once_share_a_client(
    documents: FirestoreDocuments,
) -> None:
    written = await asyncio.gather(*(documents.commit(Add("c/a", {"n": 1})) for _ in range(10)))
    assert sorted(each.values["n"] for (each,) in written) == list(range(1, 11))


def test_importing_and_making_one_loads_nothing_of_google() -> None:
    program = (
        "import sys; from gateway.documents.firestore import FirestoreDocuments;"
        "FirestoreDocuments('project');"
        "print({'grpc', 'google.api_core', 'google.auth', 'google.protobuf'} & sys.modules.keys())"
    )
    functions = Path(__file__).parents[2] / "functions"
    command = [sys.executable, "-c", program]
    child = subprocess.run(command, capture_output=True, text=True, cwd=functions)
    assert child.stdout.strip() == "set()", child.stderr


async def test_the_emulator_is_found_by_its_environment_variable(
    emulator: Emulator, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
    documents = FirestoreDocuments(project)
    assert await documents.get("c/a") == [None]
    await documents.close()


async def test_without_credentials_the_store_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    documents = FirestoreDocuments("project")
    with pytest.raises(StoreUnavailable):
        await documents.get("c/a")
    await documents.close()


# outages


async def test_a_stopped_store_is_unavailable_and_returns_without_a_new_client(
    emulator: Emulator, project: str
) -> None:
    own = Emulator()  # others still use the shared one
    documents = opened(own, project)
    try:
        await asyncio.to_thread(own.start)
        await documents.commit(Set("c/a", {}))
        await asyncio.to_thread(own.stop)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await documents.get("c/a")
            with pytest.raises(StoreUnavailable):
                await documents.commit(Add("c/a", {"n": 1}))
        await asyncio.to_thread(own.start)
        assert await until_available(documents) == 1
    finally:
        await documents.close()
        await asyncio.to_thread(own.stop)


async def until_available(documents: FirestoreDocuments) -> float:
    """A channel waits between two attempts to connect; meanwhile it refuses at once."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                (written,) = await documents.commit(Add("c/a", {"n": 1}))
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return written.values["n"]


@dataclass
class Scripted:
    """Answers every call with `code`, or never when there is none; keeps what it was asked."""

    code: grpc.StatusCode | None
    calls: list[str] = field(default_factory=list)
    seconds_allowed: list[float] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    async def answer(self, method: str, context: Any) -> None:
        self.calls.append(method)
        self.seconds_allowed.append(context.time_remaining())
        self.metadata = dict(context.invocation_metadata())
        if self.code is None:
            await asyncio.Event().wait()
        await context.abort(self.code, "scripted")

    def handler(self) -> Any:
        async def commit(_: bytes, context: Any) -> None:
            await self.answer("Commit", context)

        async def get(_: bytes, context: Any) -> None:
            await self.answer("BatchGetDocuments", context)

        async def query(_: bytes, context: Any) -> None:
            await self.answer("RunQuery", context)

        methods = {
            "Commit": grpc.unary_unary_rpc_method_handler(commit),
            "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(get),
            "RunQuery": grpc.unary_stream_rpc_method_handler(query),
        }
        return grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", methods)


@asynccontextmanager
async def answering(
    code: grpc.StatusCode | None, seconds: tuple[float, float] = (HOT_SECONDS, BULK_SECONDS)
) -> AsyncIterator[tuple[FirestoreDocuments, Scripted]]:
    scripted = Scripted(code)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([scripted.handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    documents = FirestoreDocuments(
        "project",
        emulator_host=f"127.0.0.1:{port}",
        hot_seconds=seconds[0],
        bulk_seconds=seconds[1],
    )
    try:
        yield documents, scripted
    finally:
        await documents.close()
        await server.stop(None)


AWAY = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
]
NOT_ABOUT_A_WRITE = [
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
]
VERSION = "2026-01-02T03:04:05.678901Z"


@pytest.mark.parametrize("code", AWAY + NOT_ABOUT_A_WRITE)
async def test_a_failure_of_the_store_is_unavailable_and_tried_once(code: grpc.StatusCode) -> None:
    async with answering(code) as (documents, scripted):
        for call in (
            documents.get("c/a"),
            documents.commit(Add("c/a", {"n": 1}), Set("c/b", {})),
            documents.list("c"),
            documents.delete_tree("c"),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        assert scripted.calls == ["BatchGetDocuments", "Commit", "RunQuery", "RunQuery"]


@pytest.mark.parametrize("code", AWAY)
async def test_a_failure_of_the_store_is_no_conflict(code: grpc.StatusCode) -> None:
    async with answering(code) as (documents, _):
        with pytest.raises(StoreUnavailable):
            await documents.commit(Update("c/a", {}, VERSION), Create("c/b", {}))


@pytest.mark.parametrize(
    ("code", "writes", "expected"),
    [
        (grpc.StatusCode.ABORTED, [Set("c/s", {}), Update("c/a", {}, VERSION)], "stale"),
        (grpc.StatusCode.ABORTED, [Delete("c/s"), Delete("c/a", VERSION)], "stale"),
        (grpc.StatusCode.FAILED_PRECONDITION, [Update("c/a", {}, VERSION)], "stale"),
        (grpc.StatusCode.NOT_FOUND, [Create("c/s", {}), Update("c/a", {}, VERSION)], "missing"),
        (grpc.StatusCode.ALREADY_EXISTS, [Update("c/s", {}, VERSION), Create("c/a", {})], "exists"),
    ],
)
async def test_a_failed_precondition_is_a_conflict(
    code: grpc.StatusCode, writes: list[Write], expected: str
) -> None:
    async with answering(code) as (documents, scripted):
        with pytest.raises(Conflict) as caught:
            await documents.commit(*writes)
        assert (caught.value.kind, caught.value.path) == (expected, "c/a")
        assert scripted.calls == ["Commit"]


async def test_contention_between_creations_is_no_conflict() -> None:
    """Nobody knows whether the document exists."""
    async with answering(grpc.StatusCode.ABORTED) as (documents, _):
        with pytest.raises(StoreUnavailable):
            await documents.commit(Create("c/a", {}))


async def test_a_silent_store_is_unavailable_at_the_deadline() -> None:
    async with answering(None, (0.05, 0.05)) as (documents, scripted):
        for call in (documents.get("c/a"), documents.commit(Set("c/a", {})), documents.list("c")):
            with pytest.raises(StoreUnavailable):
                await call
        assert scripted.calls == ["BatchGetDocuments", "Commit", "RunQuery"]


async def test_the_deadlines_are_two_seconds_and_thirty_for_bulk() -> None:
    async with answering(grpc.StatusCode.INTERNAL) as (documents, scripted):
        for call in (
            documents.get("c/a"),
            documents.commit(Set("c/a", {})),
            documents.list("c"),
            documents.delete_tree("c"),
        ):
            with pytest.raises(StoreUnavailable):
                await call
    assert (HOT_SECONDS, BULK_SECONDS) == (2.0, 30.0)
    hot, bulk = scripted.seconds_allowed[:2], scripted.seconds_allowed[2:]
    assert all(seconds < 2.5 for seconds in hot)  # the clocks of both sides differ by a little
    assert all(2.5 < seconds < 30.5 for seconds in bulk)


async def test_a_call_names_its_database_for_routing() -> None:
    async with answering(grpc.StatusCode.INTERNAL) as (documents, scripted):
        with pytest.raises(StoreUnavailable):
            await documents.get("c/a")
    name = "projects/project/databases/(default)"
    assert scripted.metadata["google-cloud-resource-prefix"] == name
    assert "database=" in scripted.metadata["x-goog-request-params"]
