"""How lives are told in one language: words, chat and facts, read from a file beside the code."""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grammars"
SLOT = re.compile(r"\{(\w+)\}")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU](?!ni|ne\b|uro|sed\b))")


@dataclass(frozen=True)
class Line:
    """What somebody says; `tells` are the pieces of the fact that are in it."""

    text: str
    tells: frozenset[str]
    by_partner: bool


@dataclass(frozen=True)
class Ask:
    """A question whose answer takes the pieces `needs`; those of `outdated` held once. With `all`
    it is about every fact of this kind."""

    text: str
    needs: frozenset[str]
    outdated: frozenset[str]
    all: bool


Exchange = tuple[Line, ...]


@dataclass(frozen=True)
class FactForm:
    kind: str
    who: str  # "self": only to an assistant
    say: tuple[Exchange, ...]
    ask: tuple[Ask, ...]
    later: tuple[Exchange, ...]
    ask_later: tuple[Ask, ...]


@dataclass(frozen=True)
class Grammar:
    language: str
    words: Mapping[str, Sequence[str]]
    chat: Mapping[str, Sequence[str]]
    small: tuple[Exchange, ...]
    facts: tuple[FactForm, ...]


def languages() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_grammar(language: str) -> Grammar:
    written = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    chat: dict[str, Any] = written["chat"]
    return Grammar(
        language=language,
        words=written["words"],
        chat={name: lines for name, lines in chat.items() if name != "small"},
        small=tuple(_exchange([_plain(line) for line in lines]) for lines in chat["small"]),
        facts=tuple(_fact(one) for one in written["fact"]),
    )


class Deck:
    """Words drawn without repeats as long as there are others: two dogs have two names."""

    def __init__(self, words: Mapping[str, Sequence[str]], rng: random.Random) -> None:
        self._words = words
        self._rng = rng
        self._left: dict[str, list[str]] = {}

    def draw(self, slot: str) -> str:
        """Raises KeyError: no such words."""
        name = slot if slot in self._words else slot.rstrip("0123456789")
        if not self._left.get(name):
            self._left[name] = self._rng.sample(self._words[name], len(self._words[name]))
        return self._left[name].pop()


def filled(template: str, values: Mapping[str, str]) -> str:
    """Slots that hold slots are filled in turn."""
    text = template
    while SLOT.search(text):
        text = SLOT.sub(lambda slot: values[slot[1]], text)
    return ARTICLE.sub(r"\1n ", text)


def _fact(written: Mapping[str, Any]) -> FactForm:
    return FactForm(
        kind=written["kind"],
        who=written.get("who", "any"),
        say=tuple(_exchange(lines) for lines in written["say"]),
        ask=tuple(_ask(text) for text in written["ask"]),
        later=tuple(_exchange(lines) for lines in written.get("later", ())),
        ask_later=tuple(_ask(text) for text in written.get("ask_later", ())),
    )


def _plain(line: str) -> str:
    return line if line.startswith("~") else f"-| {line}"


def _exchange(lines: Sequence[str]) -> Exchange:
    return tuple(_line(line) for line in lines)


def _line(written: str) -> Line:
    if written.startswith("~"):
        return Line(written[1:], frozenset(), by_partner=True)
    tells, _, text = written.partition("| ")
    return Line(text, frozenset(tells) - {"-"}, by_partner=False)


def _ask(written: str) -> Ask:
    pieces, _, text = written.partition(": ")
    needs, _, outdated = pieces.lstrip("+").partition("!")
    return Ask(text, frozenset(needs), frozenset(outdated), all=pieces.startswith("+"))
