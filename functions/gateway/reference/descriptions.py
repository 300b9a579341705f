"""The descriptions as they are written down: one TOML file in `groups/` for each group of routes,
and `common.toml` for what they share. Read when they are first asked for.

A shape's `fields` are JSON Schema's properties; all of them are there but those in `optional`. A
header or parameter is OpenAPI's own object. `fields` of a shape that pydantic knows already only
add to what it says.
"""

import tomllib
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


class Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(Written):
    """`shape` names a shape; without one the answer is text, of which `example` is one."""

    status: int = 200
    about: str
    shape: str | None = None
    media_type: str = "application/json"
    headers: list[str] = []
    example: str | None = None


class Example(Written):
    """A request with this name: `path` where the operation's own has no example in it, `body` as
    it is sent."""

    name: str
    path: str
    headers: dict[str, str] = {}
    body: str | None = None
    media_type: str = "application/json"


class Operation(Written):
    """`route` is `METHOD /path`; several methods may share a description.

    `query` names a shape whose fields are parameters; of `body` any one shape will do.
    """

    route: str
    summary: str
    about: str = ""
    parameters: list[str] = []
    query: str | None = None
    body: list[str] = []
    body_types: dict[str, str] = {}
    body_optional: bool = False
    public: bool = False
    errors: list[int] = []
    answers: list[Answer] = Field(min_length=1)
    examples: list[Example] = Field(min_length=1)

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]


class Shape(Written):
    about: str = ""
    fields: dict[str, Json] = {}
    optional: list[str] = []
    open: bool = False
    """More fields may be there than are named: another's shape, passed on."""


class Group(Written):
    name: str
    about: str
    operations: list[Operation] = []
    shapes: dict[str, Shape] = {}
    parameters: dict[str, Json] = {}
    headers: dict[str, Json] = {}


class Fault(Written):
    """What an error status means here."""

    name: str
    about: str
    example: str
    headers: list[str] = []


class Common(Written):
    title: str
    about: str
    parameters: dict[str, Json]
    headers: dict[str, Json]
    shapes: dict[str, Shape]
    faults: dict[str, Fault]
    security: dict[str, Json]
    everywhere: list[str]
    """Parameters of every operation that asks who is calling."""


class Descriptions:
    def __init__(self, common: Common, groups: list[Group]) -> None:
        self.common = common
        self.groups = groups

    def shapes(self) -> dict[str, Shape]:
        return self.common.shapes | joined(self.groups, "shapes")

    def parameters(self) -> dict[str, Json]:
        return self.common.parameters | joined(self.groups, "parameters")

    def headers(self) -> dict[str, Json]:
        return self.common.headers | joined(self.groups, "headers")

    def operations(self) -> list[Operation]:
        return [operation for group in self.groups for operation in group.operations]


def read() -> Descriptions:
    """In the order of the files' names. Raises pydantic's ValidationError for what is misspelt."""
    folder = files("gateway.reference") / "groups"
    written = sorted(
        (one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name
    )
    groups = [Group.model_validate(tomllib.loads(one.read_text("utf-8"))) for one in written]
    common = files("gateway.reference") / "common.toml"
    return Descriptions(Common.model_validate(tomllib.loads(common.read_text("utf-8"))), groups)


def joined(groups: list[Group], kind: str) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for group in groups:
        for name, value in getattr(group, kind).items():
            if name in joined:
                raise ValueError(f"{kind} of two groups are called {name}")
            joined[name] = value
    return joined
