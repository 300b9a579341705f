"""The checkup over dependencies that answer, err, hang and come back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.documents.base import StoreUnavailable
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments
from gateway.health.base import Sighting, Unwell
from gateway.health.checkup import FRESH_SECONDS, Checkup
from gateway.health.probes import (
    CertificatesProbe,
    DocumentsProbe,
    RetrieverProbe,
    UpstreamProbe,
)
from gateway.identity.google import CertificateSource
from gateway.retrieval.base import Standing
from gateway.retrieval.lexical import LexicalRanker
from gateway.upstream.openai import OpenAIUpstream, make_client
from limits.clock import Clock
from support.certificates import CertificateServer, make_key
from support.upstream import Answer, LoopbackUpstream, closed_port

NOON = 1_800_000_000.0


class Dependency:
    """A probe that sees what it is told to, and counts its looks."""

    name = "documents"

    def __init__(self, *, required: bool = True) -> None:
        self.required = required
        self.error: Exception | None = None
        self.looks = 0
        self.gate: asyncio.Event | None = None

    async def look(self) -> Sighting:
        self.looks += 1
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        return Sighting()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def loopback() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream() as running:
        yield running


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[MeteredDocuments]:
    opened = MeteredDocuments(SqliteDocuments(str(tmp_path / "documents.db")))
    yield opened
    await opened.close()


def checkup(clock: Clock, *probes: Dependency) -> Checkup:
    return Checkup(probes, clock, clock)


async def test_what_answers_is_healthy_and_when_is_told(clock: Clock) -> None:
    found = await checkup(clock, Dependency()).findings()
    check = found.checks["documents"]
    assert found.healthy
    assert (check.state, check.last_success, check.latency_ms) == ("healthy", NOON, 0.0)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (Unwell("refuses the key (401)"), "refuses the key (401)"),
        (StoreUnavailable(), "The document store is unavailable."),
        (RuntimeError("a canary that must not be quoted"), "RuntimeError"),
        (TimeoutError(), "no answer within 3 seconds"),
    ],
)
async def test_what_fails_is_unhealthy_and_quotes_nothing(
    clock: Clock, error: Exception, detail: str
) -> None:
    dependency = Dependency()
    dependency.error = error
    found = await checkup(clock, dependency).findings()
    assert not found.healthy
    assert found.checks["documents"].detail == detail
    assert found.checks["documents"].last_success is None


async def test_the_last_success_is_remembered_through_an_outage(clock: Clock) -> None:
    dependency = Dependency()
    looking = checkup(clock, dependency)
    await looking.findings()
    dependency.error = StoreUnavailable()
    clock.now += FRESH_SECONDS
    found = await looking.findings()
    assert (found.healthy, found.checks["documents"].last_success) == (False, NOON)


async def test_what_is_not_required_spoils_nothing(clock: Clock) -> None:
    dependency = Dependency(required=False)
    dependency.error = StoreUnavailable()
    found = await checkup(clock, dependency).findings()
    assert found.healthy
    assert found.checks["documents"].state == "unhealthy"


async def test_many_who_ask_cost_one_look(clock: Clock) -> None:
    dependency = Dependency()
    dependency.gate = asyncio.Event()
    looking = checkup(clock, dependency)
    asking = [asyncio.create_task(looking.findings()) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who leaves takes nobody along
    dependency.gate.set()
    assert {(await one).healthy for one in asking[1:]} == {True}
    clock.now += FRESH_SECONDS - 1
    await looking.findings()
    assert dependency.looks == 1


async def test_a_look_at_the_store_is_one_read(documents: MeteredDocuments) -> None:
    assert (await DocumentsProbe(documents).look()).state == "healthy"
    assert (documents.operations.reads, documents.operations.writes) == (1, 0)


@pytest.mark.parametrize("status", [200, 404, 429])
async def test_an_upstream_that_answers_is_there(loopback: LoopbackUpstream, status: int) -> None:
    loopback.queue(Answer.json({"data": []}, status=status), path="models")
    async with make_client() as client:
        upstream = OpenAIUpstream(loopback.base_url, "sk-canary", client, 5.0, 5.0)
        assert (await UpstreamProbe(upstream).look()).state == "healthy"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_an_upstream_that_refuses_the_key_or_errs_is_not(
    loopback: LoopbackUpstream, status: int
) -> None:
    loopback.queue(Answer.error(status, "sk-canary is wrong.", "invalid"), path="models")
    async with make_client() as client:
        upstream = OpenAIUpstream(loopback.base_url, "sk-canary", client, 5.0, 5.0)
        with pytest.raises(Unwell, match=str(status)) as raised:
            await UpstreamProbe(upstream).look()
    assert "canary" not in str(raised.value)


async def test_certificates_are_fetched_once_and_kept(clock: Clock) -> None:
    with CertificateServer(make_key("one")) as server:
        async with make_client() as client:
            probe = CertificatesProbe(CertificateSource(client, server.url, clock), in_use=True)
            for _ in range(3):
                assert (await probe.look()).state == "healthy"
            assert server.hits == 1


async def test_without_any_certificate_nobody_could_sign_in(clock: Clock) -> None:
    async with make_client() as client:
        source = CertificateSource(client, f"http://127.0.0.1:{closed_port()}/", clock)
        with pytest.raises(Unwell):
            await CertificatesProbe(source, in_use=True).look()
        unused = CertificatesProbe(source, in_use=False)
        assert (unused.required, (await unused.look()).state) == (False, "unknown")


class Ranker:
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def standing(self) -> Standing:
        return self._standing


@pytest.mark.parametrize(
    ("reachable", "state"), [(True, "healthy"), (False, "unhealthy"), (None, "unknown")]
)
async def test_the_retriever_is_judged_by_what_is_known(
    clock: Clock, reachable: bool | None, state: str
) -> None:
    standing = Standing(reachable, "so", heard_at=NOON - 60, answer_seconds=0.25)
    found = await Checkup([RetrieverProbe(Ranker(standing))], clock, clock).findings()
    check = found.checks["retriever"]
    assert found.healthy
    assert (check.state, check.last_success, check.latency_ms) == (state, NOON - 60, 250.0)


async def test_shared_words_are_always_there() -> None:
    assert (await RetrieverProbe(LexicalRanker()).look()).state == "healthy"
