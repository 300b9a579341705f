"""Nothing is taken out of real source code and technical chats but what should be."""

import gzip
import json
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.redaction.redactor import found_in

ROOT = Path(__file__).parents[2]
STDLIB = Path(sysconfig.get_paths()["stdlib"])
TECHNICAL = ("asyncio", "collections", "concurrent", "email", "http", "json", "logging", "xml")
DIALOGUES = "beam.jsonl.gz"
CHARACTERS = 3_000_000  # of dialogues, some ten seconds' worth on a slow machine are enough


def taken_out(files: list[Path]) -> tuple[int, list[tuple[str, str]]]:
    """Characters read, and what would go beside e-mail addresses: those in code are somebody's."""
    size, found = 0, list[tuple[str, str]]()
    for file in files:
        text = file.read_text(encoding="utf-8")
        size += len(text)
        found += [
            (f"{file.name}:{one.start}", text[one.start : one.end])
            for one in found_in(text)
            if one.kind != "EMAIL"
        ]
    return size, found


def test_of_this_repositorys_code_nothing() -> None:
    files = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "gpu").rglob("*.py")]
    size, found = taken_out([*files, *(ROOT / "infra").rglob("*.tf")])
    assert size > 1_000_000
    assert found == []


def test_of_the_standard_librarys_code_nothing() -> None:
    files = [
        *STDLIB.glob("*.py"),
        *(f for name in TECHNICAL for f in (STDLIB / name).rglob("*.py")),
    ]
    size, found = taken_out(files)
    assert size > 3_000_000
    assert found == []


def said() -> Iterator[str]:
    folder = os.environ.get("MEMORY_OPS_DIALOGUES")
    if not folder:
        pytest.skip("needs labelled dialogues: MEMORY_OPS_DIALOGUES=FOLDER make test")
    left = CHARACTERS
    with gzip.open(Path(folder) / "dev" / DIALOGUES, "rt", encoding="utf-8") as lines:
        for line in lines:
            for message in json.loads(line)["messages"]:
                yield message["text"]
                left -= len(message["text"])
            if left <= 0:
                return


def test_of_technical_chats_only_numbers_to_call_and_addresses() -> None:
    found = [(one.kind, text[one.start : one.end]) for text in said() for one in found_in(text)]
    kinds = [kind for kind, _ in found]
    assert "API_KEY" not in kinds
    assert "CARD" not in kinds
    assert len(found) < 30, found  # of three million characters
    assert all(sum(map(str.isdigit, one)) >= 10 for kind, one in found if kind == "PHONE")
