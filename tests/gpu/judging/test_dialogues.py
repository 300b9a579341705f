"""Labelled conversations as they are read, and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from retriever.errors import Unusable
from retriever.judging.dialogues import Message, read_sets, wire_chunks, wire_text
from retriever_contract.wire import MAX_CHUNK_CHARACTERS


def conversation(**changes: Any) -> dict[str, Any]:
    said = {"id": "1", "role": "user", "speaker": None, "at": None, "text": "a red bike"}
    asked = {"id": "q", "kind": "span", "text": "which bike?", "answer": 3, "evidence": ["1"]}
    start = {"id": "c", "source": "OURS", "licence": "MIT", "messages": [said]}
    return {**start, "questions": [asked], **changes}


def write_set(folder: Path, name: str, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return path


def message(**changes: Any) -> Message:
    return Message(**{"id": "7", "role": "user", "text": "hello", **changes})


def test_every_set_of_a_split_is_read_when_none_is_named(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_set(tmp_path / "train", name, json.dumps(conversation(id=name)), "")
    sets = read_sets(tmp_path, "train", [], noncommercial=False)
    assert [one.id for dialogues in sets.values() for one in dialogues] == ["a", "b"]
    assert sets["a"][0].questions[0].evidence == ("1",)


def test_one_split_is_never_read_for_the_other(tmp_path: Path) -> None:
    write_set(tmp_path / "dev", "a", json.dumps(conversation()))
    with pytest.raises(Unusable, match=r"no labelled conversations in .*train"):
        read_sets(tmp_path, "train", [], noncommercial=False)


def test_without_a_folder_the_message_says_how_to_give_one() -> None:
    with pytest.raises(Unusable, match="MEMORY_OPS_DIALOGUES or give --data"):
        read_sets(None, "train", [], noncommercial=False)


def test_an_unknown_set_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    write_set(tmp_path / "train", "a", json.dumps(conversation()))
    with pytest.raises(Unusable, match=r"no set b in .*: a$"):
        read_sets(tmp_path, "train", ["b"], noncommercial=False)


@pytest.mark.parametrize(
    "licence", ["CC BY-NC 4.0", "non-commercial", "Noncommercial use", "evaluation only"]
)
def test_a_set_that_may_not_ship_is_refused_unless_allowed(tmp_path: Path, licence: str) -> None:
    good, bad = conversation(), conversation(id="d", licence=licence)
    write_set(tmp_path / "train", "a", json.dumps(good), json.dumps(bad))
    with pytest.raises(Unusable, match="--allow-noncommercial"):
        read_sets(tmp_path, "train", [], noncommercial=False)
    assert len(read_sets(tmp_path, "train", [], noncommercial=True)["a"]) == 2


@pytest.mark.parametrize("licence", ["MIT", "CC BY-SA 4.0", "Apache-2.0"])
def test_a_free_licence_is_taken(tmp_path: Path, licence: str) -> None:
    write_set(tmp_path / "train", "a", json.dumps(conversation(licence=licence)))
    assert read_sets(tmp_path, "train", ["a"], noncommercial=False)["a"]


def test_a_line_that_is_no_conversation_is_named(tmp_path: Path) -> None:
    write_set(tmp_path / "train", "a", json.dumps(conversation()), '{"id": "x"}')
    with pytest.raises(Unusable, match=r"a\.jsonl\.gz, line 2: source"):
        read_sets(tmp_path, "train", [], noncommercial=False)


@pytest.mark.parametrize("content", [b"plain text", gzip.compress(b"\xff\n", mtime=0)])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = write_set(tmp_path / "train", "a")
    path.write_bytes(content)
    with pytest.raises(Unusable, match=r"a\.jsonl\.gz is damaged"):
        read_sets(tmp_path, "train", [], noncommercial=False)


def test_a_file_that_was_cut_short_is_named(tmp_path: Path) -> None:
    path = write_set(tmp_path / "train", "a", json.dumps(conversation()))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Unusable, match="is damaged"):
        read_sets(tmp_path, "train", [], noncommercial=False)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path / "train", "a")
    with pytest.raises(Unusable, match="holds no conversation"):
        read_sets(tmp_path, "train", [], noncommercial=False)


@pytest.mark.parametrize(
    ("at", "opening"),
    [
        (None, ""),
        ("January-05-2024", "[2024-01-05] "),
        ("1:56 pm on 8 May, 2023", "[2023-05-08] "),
        ("2024-01-05T10:00:00", "[2024-01-05] "),
        ("last week", "[last week] "),
    ],
)
def test_the_date_stands_in_front_as_a_day(at: str | None, opening: str) -> None:
    assert wire_text(message(at=at)) == f"{opening}user: hello"


def test_who_spoke_goes_before_the_role() -> None:
    assert wire_text(message(speaker="Ann")) == "user: Ann: hello"


def test_a_long_message_comes_in_parts_that_each_say_who_spoke() -> None:
    text = "".join(chr(97 + i % 26) for i in range(MAX_CHUNK_CHARACTERS * 2))
    parts = wire_chunks(message(text=text, at="2024-01-05"))
    opening = "[2024-01-05] user: "
    assert [part.id for part in parts] == ["7#1", "7#2", "7#3"]
    assert all(part.text.startswith(opening) for part in parts)
    assert "".join(part.text.removeprefix(opening) for part in parts) == text


def test_a_short_message_keeps_its_id() -> None:
    assert [part.id for part in wire_chunks(message())] == ["7"]
