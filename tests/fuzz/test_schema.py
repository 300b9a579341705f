"""Every route of `/openapi.json` against what the document promises: no 5xx, no other status, and
answers of the shape that is written down. Schemathesis makes the requests, good and bad ones."""

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fuzz.effort import effort
from support.service import Service

pytestmark = [pytest.mark.service, pytest.mark.timeout(0)]

EXAMPLES = 1  # of each route, of good and of bad requests
PATIENCE_SECONDS = 60.0
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
OF_THE_BODY = [response_schema_conformance, response_headers_conformance]
OURS = {"authorization", "x-api-key", "x-workspace-id"}
UNREAD = ("text/event-stream", "application/x-ndjson")  # the schema is that of the whole text


def checks_for(content_type: str) -> list[Any]:
    return CHECKS if content_type.startswith(UNREAD) else [*CHECKS, *OF_THE_BODY]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_every_route_answers_as_the_document_says(
    service: Service,
    http: httpx.Client,
    stranger: Callable[[], dict[str, str]],
    mode: GenerationMode,
) -> None:
    document = http.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    headers, statuses = stranger(), Counter[int]()
    with requests.Session() as session:
        session.trust_env = False

        def ask(case: Case[Any]) -> None:
            for name in OURS & {one.lower() for one in case.headers or {}}:
                del case.headers[name]
            answer = case.call(service.url, session, headers=headers, timeout=PATIENCE_SECONDS)
            statuses[answer.status_code] += 1
            content_type = (answer.headers.get("content-type") or [""])[0]
            case.validate_response(answer, checks=checks_for(content_type))

        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            if operation.method.upper() == "DELETE" and operation.path == "/v1/memory":
                continue  # what the others made is to be met again
            strategy = operation.as_strategy(generation_mode=mode)
            with contextlib.suppress(Unsatisfiable):  # a route that takes nothing cannot be misled
                effort(EXAMPLES)(given(case=strategy)(ask))()
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"\n{sum(statuses.values())} {mode.value} requests: {told}")
    assert sum(statuses.values()) > len(document["paths"])
    assert "unhandled" not in service.log
