"""The price list as numbers, with where each was read."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

LIST = Path(__file__).with_name("prices.toml")
UNSEEN = "not found"


class Prices:
    """`of("firestore", "writes_100k")`. Raises KeyError for what the list does not have."""

    def __init__(self, sections: Mapping[str, Mapping[str, float | str]]) -> None:
        self._sections = sections

    @classmethod
    def read(cls, file: Path = LIST) -> "Prices":
        return cls(tomllib.loads(file.read_text()))

    def of(self, service: str, name: str) -> float:
        return float(self._sections[service][name])

    def sources(self) -> list[str]:
        """One line for each service: the page, and when it was read, or that it was not."""
        return [
            f"{service}: {told['source']} ({_confirmed(str(told['seen']))})"
            for service, told in self._sections.items()
        ]


def _confirmed(seen: str) -> str:
    return seen.replace(UNSEEN, "NOT CONFIRMED, from memory")
