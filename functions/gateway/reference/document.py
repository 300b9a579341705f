"""Descriptions and pydantic models in, an OpenAPI 3.1 document out. Pure.

https://spec.openapis.org/oas/v3.1.1. A served route without a description is left out, and so is a
description without a route: a test says where the missing one belongs.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.reference.curl import curl
from gateway.reference.descriptions import Answer, Descriptions, Fault, Group, Operation, Shape

Json = dict[str, Any]
REFERENCE = "#/components/{kind}/{name}"


class Composer:
    """`served` are the routes there are, as `METHOD /path`; `models` those of request bodies."""

    def __init__(
        self,
        descriptions: Descriptions,
        models: Sequence[type[BaseModel]],
        served: Collection[str],
        version: str,
    ) -> None:
        self._descriptions = descriptions
        self._common = descriptions.common
        self._served = frozenset(served)
        self._version = version
        self._schemas = _schemas(models, descriptions.shapes())

    def document(self) -> Json:
        groups = [group for group in self._descriptions.groups if self._operations(group)]
        return {
            "openapi": "3.1.0",
            "info": {
                "title": self._common.title,
                "version": self._version,
                "description": self._common.about.strip(),
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "security": [{name: []} for name in self._common.security],
            "tags": [{"name": one.name, "description": one.about.strip()} for one in groups],
            "paths": self._paths(groups),
            "components": {
                "schemas": self._schemas,
                "parameters": self._descriptions.parameters(),
                "headers": self._descriptions.headers(),
                "responses": {one.name: _refusal(one) for one in self._common.faults.values()},
                "securitySchemes": self._common.security,
            },
        }

    def _operations(self, group: Group) -> list[Operation]:
        return [one for one in group.operations if one.route in self._served]

    def _paths(self, groups: Sequence[Group]) -> Json:
        paths: Json = {}
        for group in groups:
            for operation in self._operations(group):
                told = self._told(operation, group.name)
                paths.setdefault(operation.path, {})[operation.method.lower()] = told
        return paths

    def _told(self, operation: Operation, tag: str) -> Json:
        told: Json = {
            "operationId": _identifier(operation.route),
            "tags": [tag],
            "summary": operation.summary,
            "description": operation.about.strip(),
            "parameters": self._parameters(operation),
            "responses": self._responses(operation),
            "x-codeSamples": [
                {"lang": "Shell", "label": one.name, "source": curl(operation, one)}
                for one in operation.examples
            ],
        }
        if operation.body or operation.body_types:
            told["requestBody"] = _request_body(operation)
        if operation.public:
            told["security"] = []
        return {name: value for name, value in told.items() if value or name == "security"}

    def _parameters(self, operation: Operation) -> list[Json]:
        everywhere = () if operation.public else self._common.everywhere
        return [
            *(_reference("parameters", name) for name in operation.parameters),
            *(self._query(operation.query) if operation.query else ()),
            *(_reference("parameters", name) for name in everywhere),
        ]

    def _query(self, shape: str) -> list[Json]:
        schema = self._schemas[shape]
        return [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": field.get("description", ""),
                "schema": {key: value for key, value in field.items() if key != "description"},
            }
            for name, field in schema["properties"].items()
        ]

    def _responses(self, operation: Operation) -> Json:
        responses: Json = {}
        for answer in operation.answers:
            told = responses.setdefault(str(answer.status), {"description": answer.about.strip()})
            told.setdefault("headers", {}).update(_headers(answer.headers))
            if answer.shape or answer.example is not None:
                told.setdefault("content", {})[answer.media_type] = _content(answer)
        for status in sorted(self._errors(operation)):
            fault = self._common.faults[str(status)]
            responses[str(status)] = _reference("responses", fault.name)
        return responses

    def _errors(self, operation: Operation) -> set[int]:
        """Who signs in may be refused, lack a scope, or meet a store that is away. A body may not
        come."""
        sending = (408,) if operation.body or operation.body_types else ()
        if operation.public:
            return {*operation.errors, *sending}
        return {*operation.errors, *sending, 401, 403, 404, 503}


def _schemas(models: Sequence[type[BaseModel]], shapes: dict[str, Shape]) -> Json:
    """What pydantic says of `models`, with what the descriptions add; and the shapes by hand."""
    _, defined = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=REFERENCE.format(kind="schemas", name="{model}"),
    )
    schemas: Json = {name: _untitled(one) for name, one in defined.get("$defs", {}).items()}
    for name, shape in shapes.items():
        schemas[name] = _added(schemas[name], shape) if name in schemas else _schema(shape)
    return dict(sorted(schemas.items()))


def _schema(shape: Shape) -> Json:
    required = [name for name in shape.fields if name not in shape.optional]
    schema: Json = {
        "type": "object",
        "description": shape.about.strip(),
        "required": required,
        "properties": shape.fields,
    }
    if shape.open:
        schema["additionalProperties"] = True
    return {name: value for name, value in schema.items() if value}


def _added(schema: Json, shape: Shape) -> Json:
    properties = {
        name: {**field, **shape.fields.get(name, {})}
        for name, field in schema["properties"].items()
    }
    about = shape.about.strip() or schema.get("description", "")
    return {**schema, "description": about, "properties": properties}


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names; a property may be called `title` though."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _untitled(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }


def _request_body(operation: Operation) -> Json:
    content: Json = {}
    if operation.body:
        shapes = [_reference("schemas", name) for name in operation.body]
        schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        content["application/json"] = {"schema": schema, "examples": _bodies(operation)}
    for media_type, about in operation.body_types.items():
        content[media_type] = {"schema": {"type": "string", "description": about}}
    return {"required": not operation.body_optional, "content": content}


def _bodies(operation: Operation) -> Json:
    return {
        _identifier(one.name): {"summary": one.name, "value": orjson.loads(one.body)}
        for one in operation.examples
        if one.body is not None and one.media_type == "application/json"
    }


def _content(answer: Answer) -> Json:
    if answer.shape is None:
        return {"schema": {"type": "string"}, "example": answer.example}
    content: Json = {"schema": _reference("schemas", answer.shape)}
    if answer.example is not None:
        content["example"] = orjson.loads(answer.example)
    return content


def _refusal(fault: Fault) -> Json:
    content = {"schema": _reference("schemas", "Error"), "example": orjson.loads(fault.example)}
    return {
        "description": fault.about.strip(),
        "headers": _headers(fault.headers),
        "content": {"application/json": content},
    }


def _headers(names: Sequence[str]) -> Json:
    return {name: _reference("headers", name) for name in ("x-request-id", *names)}


def _reference(kind: str, name: str) -> Json:
    return {"$ref": REFERENCE.format(kind=kind, name=name)}


def _identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
