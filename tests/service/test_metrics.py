"""`/metrics` of the running service after some traffic, and the dashboard that reads it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from support.chats import user
from support.promql import groupings, selectors
from support.service import Service
from support.upstream import Answer, LoopbackUpstream

pytestmark = pytest.mark.service

DASHBOARD = Path(__file__).parents[2] / "infra" / "grafana" / "memory-ops.json"
TOKEN = "a-scrapers-token"
SCRAPER = {"authorization": f"Bearer {TOKEN}"}
ALICE = {"x-api-key": "sk-alice"}
CHAT = "/v1/chat/completions"
CANARY = "the-quokka-naps-at-noon"
LIMIT = 12
PATIENCE_SECONDS = 20.0
ASKED_FOR = {
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "http_requests_in_flight",
    "messages_created_total",
    "memory_searches_total",
    "memory_operation_duration_seconds_bucket",
    "retriever_duration_seconds_bucket",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "http_pool_connections",
    "limiter_decisions_total",
    "limiter_incidents_total",
    "retriever_calls_total",
    "tokens_saved_total",
    "upstream_errors_total",
    "document_operations_total",
    "redactions_total",
    "retention_sweeps_total",
}
LABELS = {
    "decision",
    "endpoint",
    "kind",
    "le",
    "method",
    "operation",
    "outcome",
    "pool",
    "reason",
    "retriever",
    "stage",
    "state",
    "status",
}


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, running_upstream: LoopbackUpstream
) -> Iterator[httpx.Client]:
    """A service that has been used: chats, a search, a refusal, an error, an address, paths of
    nothing."""
    with (
        Service(
            tmp_path_factory.mktemp("metrics"),
            UPSTREAM_BASE=running_upstream.base_url,
            RETRIEVER_URL=running_upstream.origin,
            METRICS_ENABLED="true",
            METRICS_TOKEN=TOKEN,
            REQUESTS_PER_MINUTE=str(LIMIT),
        ) as service,
        httpx.Client(base_url=service.url, timeout=20, trust_env=False) as client,
    ):
        _use(client, running_upstream)
        yield client


def _use(client: httpx.Client, upstream: LoopbackUpstream) -> None:
    def says(text: str, **fields: Any) -> int:
        body = {"model": f"m-{text}", "messages": [user(f"{CANARY} {text}")], **fields}
        return client.post(CHAT, json=body, headers=ALICE).status_code

    assert (says("one"), says("two", stream=True)) == (200, 200)
    client.get("/v1/memory/search", params={"query": CANARY}, headers=ALICE).raise_for_status()
    upstream.queue(Answer.error(500, "no", "server_error"), Answer.hang_up())
    assert (says("three"), says("four")) == (500, 502)
    for number in range(3):
        client.get(f"/{CANARY}/{number}")
        client.get(f"/v1/sessions/{CANARY}{number}/messages", headers=ALICE)
    says("ada@example.com")
    while says("more") == 200:
        pass


@pytest.fixture(scope="module")
def samples(measured: httpx.Client) -> list[Sample]:
    """Once the sweep that the service begins with has ended too."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = scraped(measured)
        if value(found, "retention_items_total", outcome="archived") is not None:
            return found
        assert time.monotonic() < deadline


def scraped(client: httpx.Client) -> list[Sample]:
    answer = client.get("/metrics", headers=SCRAPER).raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return [sample for family in families for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float | None:
    found = [
        one.value for one in samples if one.name == name and labels.items() <= one.labels.items()
    ]
    return sum(found) if found else None


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_everything_asked_for_is_printed(samples: list[Sample]) -> None:
    assert {sample.name for sample in samples} >= ASKED_FOR


def test_it_counts_what_happened(samples: list[Sample]) -> None:
    chats = {"endpoint": CHAT, "method": "POST"}
    assert value(samples, "http_requests_total", status="500", **chats) == 1
    assert value(samples, "http_requests_total", status="502", **chats) == 1
    assert value(samples, "http_requests_total", status="429", **chats) == 1
    assert value(samples, "limiter_decisions_total", decision="refused") == 1
    assert value(samples, "limiter_decisions_total", decision="admitted") == LIMIT
    assert value(samples, "upstream_errors_total", kind="5xx") == 1
    assert value(samples, "upstream_errors_total", kind="unreachable") == 1
    assert value(samples, "memory_searches_total") == 1
    assert value(samples, "redactions_total") == 2  # as it was said, and echoed
    answered = value(samples, "http_requests_total", status="200", **chats)
    assert answered is not None
    assert value(samples, "messages_created_total") == 2 * answered
    assert (
        value(samples, "memory_operation_duration_seconds_count", operation="remember") == answered
    )
    assert value(samples, "tokens_total", kind="before")
    assert value(samples, "http_requests_in_flight") == 1  # the scraper's own


def test_labels_have_few_values_and_none_of_them_a_callers(samples: list[Sample]) -> None:
    assert {name for sample in samples for name in sample.labels} <= LABELS
    told = {text for sample in samples for text in sample.labels.values()}
    assert [text for text in told if CANARY in text or "m-one" in text] == []
    unmatched = value(samples, "http_requests_total", endpoint="unmatched", status="404")
    assert unmatched == 3
    by_path = value(samples, "http_requests_total", endpoint="/v1/sessions/{session}/messages")
    assert by_path == 3


@pytest.mark.parametrize("expression", expressions())
def test_a_panel_reads_what_is_printed(samples: list[Sample], expression: str) -> None:
    wanted, grouped = list(selectors(expression)), groupings(expression)
    assert wanted
    for selector in wanted:
        found = [
            one for one in samples if one.name == selector.metric and selector.takes(one.labels)
        ]
        assert found, f"nothing is printed for {selector}"
        assert all(grouped <= one.labels.keys() for one in found)


def test_every_metric_asked_for_has_a_panel() -> None:
    read = {selector.metric for expression in expressions() for selector in selectors(expression)}
    missing = ASKED_FOR - read
    assert missing == set()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        ALICE,
        {"authorization": "Bearer sk-alice"},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"x-api-key": TOKEN},
    ],
    ids=str,
)
def test_nobody_else_reads_it(measured: httpx.Client, headers: dict[str, str]) -> None:
    answer = measured.get("/metrics", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_it_is_not_there_unless_asked_for(http: httpx.Client) -> None:
    assert http.get("/metrics", headers=SCRAPER).status_code == 404
