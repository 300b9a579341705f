"""Labelled conversations: what was said, and which messages answer a question. Knows no model.

A folder holds `train/` and `dev/`, each with files `SET.jsonl.gz`: one conversation a line. What
ships is chosen on `train` alone, and only from sets whose licence lets it.
"""

import gzip
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retriever.errors import Unusable
from retriever_contract.wire import MAX_CHUNK_CHARACTERS, Chunk

VARIABLE = "MEMORY_OPS_DIALOGUES"
SUFFIX = ".jsonl.gz"
PART = "#"  # between a message's id and the number of its part, as the gateway writes it

Split = Literal["train", "dev"]

_NONCOMMERCIAL = re.compile(r"\bNC\b|non[- ]?commercial|evaluation only|research only", re.I)
_DATES = ("%B-%d-%Y", "%I:%M %p on %d %B, %Y", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(_Line):
    id: str = Field(min_length=1)
    role: str
    speaker: str | None = None
    at: str | None = None
    text: str

    @property
    def said(self) -> str:
        """With the speaker's name, which is part of what the gateway is told."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


class Question(_Line):
    """`evidence` are ids of messages; none when nothing in the conversation answers."""

    id: str
    kind: str = ""
    text: str = Field(min_length=1)
    evidence: tuple[str, ...] = ()


class Dialogue(_Line):
    id: str
    source: str
    licence: str = Field(min_length=1)
    messages: tuple[Message, ...] = Field(min_length=1)
    questions: tuple[Question, ...] = ()

    @property
    def is_noncommercial(self) -> bool:
        return bool(_NONCOMMERCIAL.search(self.licence))


def read_sets(
    folder: Path | None, split: Split, names: Sequence[str], *, noncommercial: bool
) -> dict[str, list[Dialogue]]:
    """Conversations of each set; all sets of the split when none is named.

    Raises Unusable: no data, no such set, a damaged file, a licence that forbids (unless
    `noncommercial`).
    """
    found = {name: list(read_set(path)) for name, path in _files(folder, split, names).items()}
    for name, dialogues in found.items():
        if not dialogues:
            raise Unusable(f"{name}{SUFFIX} holds no conversation")
        forbidden = next((one for one in dialogues if one.is_noncommercial), None)
        if forbidden and not noncommercial:
            raise Unusable(
                f"{name} is licensed {forbidden.licence}, so nothing that ships may be chosen with "
                "it: name others with --sets, or take it with --allow-noncommercial"
            )
    return found


def read_set(path: Path) -> Iterator[Dialogue]:
    """Raises Unusable: damaged, or a line that is no conversation; names the line."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    yield Dialogue.model_validate_json(line)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Unusable(f"{path}, line {number}: {where or 'JSON'}: {first['msg']}") from exc
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        raise Unusable(f"{path} is damaged after line {number}: {exc}") from exc


def moment(at: str) -> datetime | None:
    """In UTC, since the sets name no zone; None of what is in no known form."""
    for form in _DATES:
        try:
            return datetime.strptime(at, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def wire_text(message: Message) -> str:
    """As the gateway words a message for the model; a speaker's name is part of what was said."""
    date = f"[{_day(message.at)}] " if message.at else ""
    return f"{date}{message.role}: {message.said}"


def wire_chunks(message: Message) -> list[Chunk]:
    """The message as the wire takes it: a long one in parts, each with the date and who spoke."""
    opening = wire_text(message.model_copy(update={"text": ""}))
    size = MAX_CHUNK_CHARACTERS - len(opening)
    if len(message.text) <= size:
        return [Chunk(id=message.id, text=opening + message.text)]
    starts = range(0, len(message.text), size)
    return [
        Chunk(id=f"{message.id}{PART}{number}", text=opening + message.text[start : start + size])
        for number, start in enumerate(starts, start=1)
    ]


def _day(at: str) -> str:
    """2024-01-05; what is in no known form stays as it is."""
    when = moment(at)
    return when.date().isoformat() if when else at


def _files(folder: Path | None, split: Split, names: Sequence[str]) -> dict[str, Path]:
    if folder is None:
        raise Unusable(f"no labelled conversations: set {VARIABLE} or give --data FOLDER")
    there = {path.name.removesuffix(SUFFIX): path for path in (folder / split).glob(f"*{SUFFIX}")}
    if not there:
        raise Unusable(f"no labelled conversations in {folder / split}: no *{SUFFIX} is there")
    missing = [name for name in names if name not in there]
    if missing:
        raise Unusable(f"no set {missing[0]} in {folder / split}: {', '.join(sorted(there))}")
    return {name: there[name] for name in names or sorted(there)}
