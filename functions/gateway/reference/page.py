"""An OpenAPI document as one page of HTML: no script, nothing from another host. Pure.

Jinja is in the process already (functions-framework brings Flask) and escapes whatever it is given.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

Json = dict[str, Any]
CODE = re.compile(r"`([^`]+)`")
BOUNDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {}",
}


class Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        folder = files("gateway.reference")
        self._style = folder.joinpath("page.css").read_text("utf-8")
        self._template = folder.joinpath("page.html").read_text("utf-8")

    @property
    def policy(self) -> str:
        """What a browser may do with the page: show it, with this one style sheet."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        return (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
            " form-action 'none'; frame-ancestors 'none'"
        )

    def html(self) -> str:
        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters.update(
            prose=prose, kind=kind, resolved=self._resolved, pretty=pretty, anchor=anchor
        )
        return environment.from_string(self._template).render(
            info=self._document["info"],
            style=Markup(self._style),  # noqa: S704  our own file
            groups=self._groups,
            everywhere=self._everywhere,
            schemes=self._document["components"]["securitySchemes"],
            refusals=self._refusals,
            shapes=self._document["components"]["schemas"],
        )

    @cached_property
    def _groups(self) -> list[Json]:
        return [
            {**tag, "operations": list(self._operations(tag["name"]))}
            for tag in self._document["tags"]
        ]

    def _operations(self, tag: str) -> Iterator[Json]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    yield {"method": method.upper(), "path": path, **self._told(operation)}

    def _told(self, operation: Json) -> Json:
        parameters = [self._resolved(one) for one in operation.get("parameters", ())]
        everywhere = {one["name"] for one in self._everywhere}
        answers = [
            {"status": status, **self._resolved(answer)}
            for status, answer in operation["responses"].items()
        ]
        return {
            **operation,
            "parameters": [one for one in parameters if one["name"] not in everywhere],
            "answers": [one for one in answers if one["status"] < "400"],
            "refusals": [one for one in answers if one["status"] >= "400"],
            "public": operation.get("security") == [],
        }

    @cached_property
    def _everywhere(self) -> list[Json]:
        """The parameters that all operations share which ask who is calling."""
        lists = [
            {one["$ref"] for one in operation.get("parameters", ()) if "$ref" in one}
            for methods in self._document["paths"].values()
            for operation in methods.values()
            if operation.get("security") != []
        ]
        shared = set.intersection(*lists) if lists else set()
        return [self._resolved({"$ref": one}) for one in sorted(shared)]

    @cached_property
    def _refusals(self) -> list[Json]:
        named: Mapping[str, Json] = self._document["components"]["responses"]
        statuses = {
            answer["$ref"].rpartition("/")[2]: status
            for methods in self._document["paths"].values()
            for operation in methods.values()
            for status, answer in operation["responses"].items()
            if "$ref" in answer
        }
        told = [
            {"status": statuses[name], **one} for name, one in named.items() if name in statuses
        ]
        return sorted(told, key=lambda one: str(one["status"]))

    def _resolved(self, value: Json) -> Json:
        found: Any = value
        if "$ref" in value:
            found = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
        return dict(found)


def prose(text: str) -> Markup:
    """Escaped, with paragraphs and with what stands between backticks as code."""
    paragraphs = (CODE.sub(r"<code>\1</code>", str(escape(one))) for one in text.split("\n\n"))
    return Markup("".join(f"<p>{one}</p>" for one in paragraphs))  # noqa: S704  escaped above


def kind(schema: Json) -> Markup:
    """A schema in a few words, with links to shapes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{}">{}</a>').format(anchor(f"shape {name}"), name)
    if "anyOf" in schema:
        return Markup(" or ").join(kind(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(", ").join(Markup("<code>{}</code>").format(_json(one)) for one in values)
    return Markup("{}{}").format(_type(schema), _bounds(schema))


def _type(schema: Json) -> Markup:
    type = schema.get("type", "anything")
    if isinstance(type, list):
        return Markup(" or ").join(escape(one) for one in type)
    if type == "array":
        return Markup("list of {}").format(kind(schema.get("items", {})))
    values = schema.get("additionalProperties")
    if type == "object" and isinstance(values, dict) and values:
        return Markup("object of {}").format(kind(values))
    return escape(schema.get("format", type))


def _bounds(schema: Json) -> str:
    told = [words.format(schema[name]) for name, words in BOUNDS.items() if name in schema]
    if "default" in schema and schema["default"] is not None:
        told.append(f"default {_json(schema['default'])}")
    return "".join(f", {one}" for one in told)


def pretty(value: Any) -> str:
    """JSON to read; text as it is."""
    if isinstance(value, str):
        return value.strip()
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def anchor(text: str) -> str:
    return "-".join(_words(text))


def _words(text: str) -> Iterable[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
