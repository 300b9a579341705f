"""What one session has staged, as it is kept. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from gateway.documents.base import Document, Version
from gateway.entities.operations import Operation, operations_from

SCHEMA = 1
KEPT_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """One operation with the id by which it is dropped."""

    id: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Staged:
    """`base` are the current versions when it was made, `digest` tells what it was made of."""

    session: str
    valid_from: float
    epoch: int
    digest: str
    base: Mapping[str, int]
    proposals: tuple[Proposal, ...]
    created_at: float = 0.0
    state: Literal["staged", "committed"] = "staged"
    commit: int | None = None
    version: Version | None = None

    @property
    def operations(self) -> list[Operation]:
        return [one.operation for one in self.proposals]

    @property
    def expires_at(self) -> float:
        return self.created_at + KEPT_SECONDS

    def touched(self) -> dict[str, int]:
        """The base of what is left of it."""
        return {one.entity: self.base.get(one.entity, 0) for one in self.operations}

    def packed(self) -> dict[str, Any]:
        told = {
            "session": self.session,
            "valid_from": self.valid_from,
            "epoch": self.epoch,
            "digest": self.digest,
            "base": dict(self.base),
            "proposals": [[one.id, one.operation.model_dump()] for one in self.proposals],
            "created_at": self.created_at,
            "state": self.state,
            "commit": self.commit,
        }
        return {"schema": SCHEMA, "staged": orjson.dumps(told).decode()}

    @staticmethod
    def of(document: Document) -> "Staged":
        told = orjson.loads(document.fields["staged"])
        lines = told.pop("proposals")
        operations = operations_from([operation for _, operation in lines])
        ids = [id for id, _ in lines]
        proposals = tuple(Proposal(*pair) for pair in zip(ids, operations, strict=True))
        return Staged(**told, proposals=proposals, version=document.version)
