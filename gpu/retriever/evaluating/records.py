"""One line for each question and method: what was ranked, and what it was worth.

The gateway's own evaluation, `make eval`, writes lines of the same kind, without figures.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retriever.errors import Unusable

KEPT = 100  # best ids of a record


class Record(BaseModel):
    """`figures` are `metrics.judged`, none without evidence; `top` is the best score, None where
    it says nothing. A conversation's `is_first` question pays for what is read once."""

    model_config = ConfigDict(frozen=True)

    set: str
    conversation: str
    question: str
    kind: str
    method: str
    evidence: tuple[str, ...]
    ranked: tuple[str, ...]
    figures: dict[str, float]
    top: float | None
    seconds: float
    is_first: bool


class GatewayRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    set: str
    conversation: str
    question: str
    ranked: tuple[str, ...]
    seconds: float = Field(ge=0)
    is_first: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return self.set, self.conversation, self.question


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text("".join(f"{one.model_dump_json()}\n" for one in records), "utf-8")
    draft.replace(path)


def read_gateway_records(path: Path) -> dict[tuple[str, str, str], GatewayRecord]:
    """By set, conversation and question. Raises Unusable: not there, no record, a question twice;
    names the line."""
    found: dict[tuple[str, str, str], GatewayRecord] = {}
    for number, one in _lines(path):
        if one.key in found:
            raise Unusable(f"{path}, line {number}: question {one.question} is there twice")
        found[one.key] = one
    if not found:
        raise Unusable(f"{path} holds no record")
    return found


def _lines(path: Path) -> Iterator[tuple[int, GatewayRecord]]:
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, GatewayRecord.model_validate_json(line)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Unusable(f"{path}, line {number}: {where or 'JSON'}: {first['msg']}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise Unusable(f"{path} cannot be read: {exc}") from exc
