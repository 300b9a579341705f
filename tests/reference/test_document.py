"""What the reference says, held against what the service is made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from gateway import errors
from gateway.app import EXPOSED_HEADERS
from gateway.reference import descriptions
from gateway.reference.document import Composer
from gateway.routes.openapi import BODIES, served
from gateway.settings import Settings
from gateway.wiring.services import build

Json = dict[str, Any]

MISSING = (
    "{} has no description: add an [[operations]] with `route = {!r}` to the file of its group in"
    " functions/gateway/reference/groups/, and its body's model to BODIES in routes/openapi.py."
)


@pytest.fixture(scope="module")
def read() -> descriptions.Descriptions:
    return descriptions.read()


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Of a service with everything switched on."""
    folder: Path = tmp_path_factory.mktemp("app")
    settings = Settings.model_validate(
        {
            "store_url": f"sqlite:///{folder / 'memory.db'}",
            "development_issuer": True,
            "google_client_id": "app",
            "development_key_file": str(folder / "issuer.pem"),
            "metrics_enabled": True,
        }
    )
    app = build(settings)
    assert all(isinstance(route, Route) for route in app.routes)
    return served(app.routes)


@pytest.fixture(scope="module")
def document(read: descriptions.Descriptions, routes: set[str]) -> Json:
    return Composer(read, BODIES, routes, "1.2.3").document()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_is_valid_openapi(document: Json) -> None:
    validate(document)


def test_every_route_is_described(document: Json, routes: set[str]) -> None:
    missing = routes - {route for route, _ in operations(document)}
    assert not missing, "\n".join(MISSING.format(one, one) for one in sorted(missing))


def test_nothing_is_described_that_is_no_route(
    read: descriptions.Descriptions, routes: set[str]
) -> None:
    described = [one.route for one in read.operations()]
    assert sorted(described) == sorted(set(described)), "a route is described twice"
    assert set(described) <= routes


def test_a_route_that_is_not_served_is_not_in_the_document(read: descriptions.Descriptions) -> None:
    document = Composer(read, BODIES, {"GET /health"}, "1.2.3").document()
    assert [route for route, _ in operations(document)] == ["GET /health"]
    assert [one["name"] for one in document["tags"]] == ["Service"]
    validate(document)


def test_every_field_and_parameter_says_what_it_is(document: Json) -> None:
    silent = [
        f"{shape}.{name}"
        for shape, schema in document["components"]["schemas"].items()
        for name, field in schema.get("properties", {}).items()
        if not ("$ref" in field or field.get("description"))
    ]
    for route, operation in operations(document):
        for one in operation.get("parameters", ()):
            if "$ref" not in one:
                assert one["description"], f"{route} {one['name']}"
    assert silent == []


def test_no_shape_names_a_field_that_its_model_has_not(read: descriptions.Descriptions) -> None:
    fields = {model.__name__: model.model_json_schema()["properties"] for model in BODIES}
    for name, shape in read.shapes().items():
        if name in fields:
            assert set(shape.fields) <= set(fields[name]), name


def test_path_parameters_are_those_of_the_path(document: Json) -> None:
    named = document["components"]["parameters"]
    for route, operation in operations(document):
        resolved = [
            named[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            for one in operation.get("parameters", ())
        ]
        inside = {one["name"] for one in resolved if one["in"] == "path"}
        assert inside == {part[1:-1] for part in route.split("/") if part.startswith("{")}, route


STATES = {("GET /health/detailed", "503")}  # no error: what was asked for


def test_errors_have_openais_shape_and_the_statuses_of_the_error_tree(document: Json) -> None:
    tree = {one.status: one for one in errors.GatewayError.__subclasses__()}
    for route, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status >= "400" and (route, status) not in STATES:
                assert int(status) in tree, route
                assert answer["$ref"].startswith("#/components/responses/"), route
    for answer in document["components"]["responses"].values():
        content = answer["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}
        assert set(content["example"]["error"]) == {"message", "type", "param", "code"}


def test_examples_of_errors_are_of_their_status(read: descriptions.Descriptions) -> None:
    tree = {str(one.status): one for one in errors.GatewayError.__subclasses__()}
    for status, fault in read.common.faults.items():
        assert f'"type": "{tree[status].type}"' in fault.example


def test_every_header_that_a_page_may_read_is_described(document: Json) -> None:
    described = document["components"]["headers"]
    assert set(EXPOSED_HEADERS) <= set(described)


def test_the_chat_route_names_its_headers(document: Json) -> None:
    chat = document["paths"]["/v1/chat/completions"]["post"]
    answered = set(chat["responses"]["200"]["headers"])
    refused = set(document["components"]["responses"]["RateLimited"]["headers"])
    assert set(EXPOSED_HEADERS) <= answered | refused


def test_only_what_asks_nobody_is_public(document: Json) -> None:
    public = {route for route, one in operations(document) if one.get("security") == []}
    assert {route for route in public if "/development/" not in route} == {
        "GET /",
        "GET /console/config.json",
        "GET /console/{path}",
        "GET /health",
        "GET /health/detailed",
        "GET /metrics",  # a scraper's token, no caller's credential
        "GET /docs",
        "GET /openapi.json",
    }


def test_a_misspelt_description_is_refused() -> None:
    written = {"name": "Odd", "about": "", "operations": [{"rout": "GET /odd"}]}
    with pytest.raises(ValueError, match="rout"):
        descriptions.Group.model_validate(written)


def test_two_groups_cannot_use_one_name_for_two_shapes() -> None:
    group = descriptions.Group(name="a", about="", shapes={"Same": descriptions.Shape()})
    with pytest.raises(ValueError, match="Same"):
        descriptions.joined([group, group], "shapes")
