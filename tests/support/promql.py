"""The selectors of a PromQL expression: which series it reads, and which labels it groups by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_GROUPED = re.compile(r"\bby\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTED = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(?!\s*\()")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True)
class Selector:
    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def takes(self, labels: dict[str, str]) -> bool:
        return all(_holds(labels.get(name, ""), how, value) for name, how, value in self.matchers)


def selectors(expression: str) -> Iterator[Selector]:
    bare = _RANGE.sub("", _GROUPED.sub("", expression))
    names = re.sub(r"\b[a-z_]+\s*\(", "(", bare)  # functions and aggregations
    for match in _SELECTED.finditer(names):
        yield Selector(match[1], tuple(_MATCHER.findall(match[2] or "")))


def groupings(expression: str) -> set[str]:
    found = (
        label.strip() for match in _GROUPED.finditer(expression) for label in match[1].split(",")
    )
    return {label for label in found if label}


def _holds(value: str, how: str, wanted: str) -> bool:
    same = bool(re.fullmatch(wanted, value)) if how.endswith("~") else value == wanted
    return same is not how.startswith("!")
