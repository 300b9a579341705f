"""What models said, kept on disk as they say it: an evaluation that is interrupted, or asked again
with other ways to combine scores, reads nothing twice.

A line holds the digest of all that its scores depend on, so a stale one is never found.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from retriever.evaluating.heads import Read

DIGITS = 7  # significant ones: more than scores are exact to


class ScoreBook:
    """Appends to `path` line by line; a line that was cut short is read as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = dict(_lines(path))

    def find(self, key: str) -> Read | None:
        return self._kept.get(key)

    def write(self, key: str, read: Read) -> Read:
        """As it will be found."""
        scores = {id: float(f"{score:.{DIGITS}g}") for id, score in read.scores.items()}
        line = json.dumps({"key": key, "seconds": round(read.seconds, 4), "scores": scores})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}" if _is_cut_short(self._path) else line)
            file.write("\n")
        kept = self._kept[key] = Read(scores, read.seconds)
        return kept


def _lines(path: Path) -> Iterator[tuple[str, Read]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                told = json.loads(line)
                yield str(told["key"]), Read(told["scores"], float(told["seconds"]))
            except (ValueError, TypeError, KeyError):
                continue


def _is_cut_short(path: Path) -> bool:
    """Whether the last line has no end."""
    size = path.stat().st_size
    if not size:
        return False
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) != b"\n"
