"""What models said is kept as they say it."""

from pathlib import Path

from retriever.evaluating.book import ScoreBook
from retriever.evaluating.heads import Read

SAID = Read({"m1": 0.123456789, "m2": -2e-9}, 1.5)


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores.jsonl")
    assert book.find("a") is None
    book.write("a", SAID)
    for each in (book, ScoreBook(tmp_path / "scores.jsonl")):
        found = each.find("a")
        assert found is not None
        assert found.scores == {"m1": 0.1234568, "m2": -2e-9}
        assert found.seconds == 1.5
    assert ScoreBook(tmp_path / "scores.jsonl").find("b") is None


def test_a_line_that_was_cut_short_loses_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    ScoreBook(path).write("a", SAID)
    ScoreBook(path).write("b", SAID)
    path.write_bytes(path.read_bytes()[:-20])
    again = ScoreBook(path)
    assert again.find("a")
    assert again.find("b") is None
    again.write("c", SAID)
    assert ScoreBook(path).find("a")
    assert ScoreBook(path).find("c")


def test_what_is_no_score_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b'{"key": 1}\n\xff\n[]\n7\n\n{"key": "a", "seconds": "x", "scores": {}}\n')
    assert ScoreBook(path).find("a") is None
