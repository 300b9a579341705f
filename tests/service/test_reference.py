"""The reference as it is served, and its examples as they are answered."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway.routes.openapi import served
from gateway.settings import Settings
from gateway.wiring.services import build
from support import curl
from support.chats import Json

pytestmark = pytest.mark.service

STAGING = {
    f"/v1/memory/{one}" for one in ("process-session", "process-and-commit", "commit-session")
}
"""Their examples build on what a model answers; the upstream of these tests only echoes."""

WRITTEN = ("/openapi.json", "/docs")


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> Json:
    found: Json = http.get("/openapi.json").raise_for_status().json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_it_holds_every_route_that_the_service_has(document: Json) -> None:
    """Those too that a cold start does not make."""
    described = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert described == served(build(Settings(_env_file=None)).routes)


def test_it_is_valid_and_needs_no_credential(document: Json) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_the_page_is_html_that_runs_nothing(http: httpx.Client) -> None:
    page = http.get("/docs").raise_for_status()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.text.startswith("<!doctype html>")


@pytest.mark.parametrize("path", WRITTEN)
def test_it_is_sent_once(http: httpx.Client, path: str) -> None:
    etag = http.get(path).headers["etag"]
    for tag in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = http.get(path, headers={"if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert http.get(path, headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", WRITTEN)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
def test_it_says_the_same_to_everybody(http: httpx.Client, path: str, host: str) -> None:
    """It is kept by shared caches: nothing of the request may get into it."""
    asked = http.get(f"{path}?x=<script>", headers={"x-forwarded-host": host, "host": host})
    assert asked.content == http.get(path).content


@pytest.mark.parametrize("path", WRITTEN)
def test_only_reading_is_allowed(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert http.head(path).status_code == 200


def test_every_example_is_answered_as_the_document_says(
    http: httpx.Client, document: Json, person: dict[str, str]
) -> None:
    """In the document's order, for somebody new: what names a made-up id is not found."""
    token = person["authorization"].removeprefix("Bearer ")
    url = str(http.base_url).rstrip("/")
    for path, operation in operations(document):
        administers = path.startswith("/v1/admin/")
        variables = {"URL": url, "TOKEN": "sk-ops" if administers else token}
        for sample in operation["x-codeSamples"]:
            answer = curl.read(sample["source"], variables).send(http)
            told = f"{operation['operationId']}: {answer.status_code} {answer.text[:400]}"
            assert str(answer.status_code) in operation["responses"], told
            assert answer.status_code not in {400, 401, 403, 413}, told
            if "{" not in path and path not in STAGING:
                assert answer.is_success, told
            check(document, operation, answer)


def check(document: Json, operation: Json, answer: httpx.Response) -> None:
    """Headers that a client counts on, and a body of the shape that is promised."""
    told = operation["responses"][str(answer.status_code)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    contents = told.get("content", {})
    assert media_type in contents, (operation["operationId"], media_type)
    if media_type == "application/json":
        schema: dict[str, Any] = {
            **contents[media_type]["schema"],
            "components": document["components"],
        }
        OAS31Validator(schema).validate(answer.json())
