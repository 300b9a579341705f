"""One Markdown file of a DiffMem memory: what it is about, and its statements by block. Pure.

A heading begins a block, `/END` ends it; a line of a list, with those that continue it, or a
paragraph is a statement. `[ALWAYS_LOAD]` and `[Strength: High]` behind a heading mean what they
say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.entities.content import Kind
from gateway.entities.operations import FACTS, MAX_BLOCK, MAX_NAME, MAX_TEXT

DERIVED = frozenset({"index.md", "episodes_index.md", "repo_guide.md", "readme.md"})
DERIVED_BLOCK = "## SEMANTIC INDEX"
FRONT_MATTER = "front matter"
HEADING = re.compile(r"#{1,6}\s+(.*)")
BULLET = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+(.*)")
STRENGTH = re.compile(r"strength:\s*(low|medium|high)", re.IGNORECASE)
STRENGTHS = {"low": 0.25, "medium": 0.5, "high": 0.9}
TITLE = re.compile(r"(?:title|name):\s*(.+)")
KINDS: dict[str, Kind] = {
    "people": "person",
    "places": "place",
    "locations": "place",
    "projects": "project",
    "preferences": "preference",
}
MAX_ALWAYS_LOAD = 20
MAX_TAGS = 20


@dataclass(frozen=True, slots=True)
class Note:
    """`statements` are pairs of block and text, in their order."""

    kind: Kind
    name: str
    strength: float
    always_load: tuple[str, ...]
    statements: tuple[tuple[str, str], ...]


def is_note(path: str) -> bool:
    """Whether a file of the repository is about something, and not derived from the others."""
    return path.endswith(".md") and path.rpartition("/")[2].lower() not in DERIVED


def note_of(path: str, text: str) -> Note:
    body = text.lstrip("\ufeff").replace("\r\n", "\n").partition(DERIVED_BLOCK)[0]
    front, body = _front_matter(body)
    reader = _Reader(next((m[1] for line in front if (m := TITLE.fullmatch(line))), ""))
    for line in body.split("\n"):
        reader.line(line)
    reader.end()
    stem = path.rpartition("/")[2].removesuffix(".md").replace("_", " ")
    kept = [(FRONT_MATTER, one) for line in front for one in _cut(line)]
    return Note(
        kind=next((KINDS[part] for part in path.split("/")[-2::-1] if part in KINDS), "other"),
        name=_short(reader.name, MAX_NAME) or _short(stem, MAX_NAME) or "?",
        strength=reader.strength,
        always_load=tuple(dict.fromkeys(reader.always_load))[:MAX_ALWAYS_LOAD],
        statements=(*kept, *reader.statements),
    )


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name.strip("\"' ")
        self.strength = STRENGTHS["medium"]
        self.always_load: list[str] = []
        self.statements: list[tuple[str, str]] = []
        self._block = FACTS
        self._open: list[str] = []
        self._named = False

    def line(self, line: str) -> None:
        if heading := HEADING.match(line):
            self.end()
            self._heading(heading[1])
        elif line.startswith("/END"):
            self.end()
            self._block = FACTS
        elif bullet := BULLET.match(line):
            self.end()
            self._open = [bullet[1]]
        elif line.strip():
            self._open.append(line)
        else:
            self.end()

    def end(self) -> None:
        """Of a statement."""
        text = " ".join(" ".join(self._open).split())
        self._open = []
        self.statements += [(self._block, part) for part in _cut(text)]

    def _heading(self, text: str) -> None:
        """The first one names the file, the others blocks."""
        text, tags = _tagged(text)
        strength = next((found for one in tags if (found := STRENGTH.search(one))), None)
        if strength and not self._named:
            self.strength = STRENGTHS[strength[1].lower()]
        if self._named:
            self._block = _short(text, MAX_BLOCK) or FACTS
        elif not self.name:
            self.name = text
        self._named = True
        if "ALWAYS_LOAD" in tags:
            self.always_load.append(self._block)


def _tagged(text: str) -> tuple[str, list[str]]:
    """A heading without the `[...]` behind it, and these: the last `MAX_TAGS` where there are more,
    for each costs a copy of what is left."""
    tags: list[str] = []
    while (text := text.rstrip()).endswith("]") and (begins := text.rfind("[")) >= 0:
        if len(tags) == MAX_TAGS:
            break
        tags.append(text[begins + 1 : -1].strip())
        text = text[:begins]
    return text, tags


def _front_matter(text: str) -> tuple[list[str], str]:
    lines = text.lstrip("\n").split("\n")
    if lines[0].strip() != "---":
        return [], text
    ends = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if ends is None:
        return [], text
    return [line.strip() for line in lines[1:ends] if line.strip()], "\n".join(lines[ends + 1 :])


def _cut(text: str) -> Iterator[str]:
    """Parts that a statement takes, cut between words where there are any."""
    while len(text) > MAX_TEXT:
        place = text.rfind(" ", 1, MAX_TEXT + 1)
        place = MAX_TEXT if place < 0 else place
        yield text[:place]
        text = text[place:].lstrip()
    if text.strip():
        yield text


def _short(text: str, longest: int) -> str:
    return " ".join(text.split())[:longest].strip()
