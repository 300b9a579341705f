"""Text without what should not be kept: addresses, keys, cards, telephone numbers.

Every pattern is bounded, so that the work is linear in the text, whoever wrote it. What was taken
out once is not found again: redacting twice is redacting once.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import orjson

from gateway.redaction.base import MARK, Found, Kind, apart, placeholder
from gateway.redaction.cards import cards
from gateway.redaction.emails import emails
from gateway.redaction.named import named
from gateway.redaction.phonenumbers import phone_numbers
from gateway.redaction.shapes import shapes
from gateway.telemetry.record import current

LONG_CHARACTERS = 32_768  # some ten milliseconds
FINDERS: tuple[Callable[[str], Iterator[Found]], ...] = (
    shapes,
    named,
    emails,
    cards,
    phone_numbers,
)


def found_in(text: str) -> list[Found]:
    """In their order, without what stands for something that was taken out already."""
    found = apart(chain.from_iterable(find(text) for find in FINDERS))
    return [one for one in found if not text.startswith(MARK, one.start)]


class Redactor:
    """For one request: the same text is looked through once, and counted once.

    `total` is of all texts so far; `counts`, which outlives the request, gets the same by kind.
    Switched off it gives back what it is given.
    """

    def __init__(self, *, enabled: bool = True, counts: Counter[Kind] | None = None) -> None:
        self.enabled = enabled
        self.total = 0
        self._counts: Counter[Kind] = Counter() if counts is None else counts
        self._known: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        return {"x-redactions": str(self.total)} if self.enabled else {}

    async def read(self, texts: Iterable[str]) -> None:
        """Look through them now: beside the loop where that takes long, or loads the library."""
        unread = [text for text in texts if text not in self._known] if self.enabled else []
        slow = sum(map(len, unread)) > LONG_CHARACTERS or (
            "phonenumbers" not in sys.modules and any("+" in text for text in unread)
        )
        if slow:
            await asyncio.to_thread(lambda: [self.text(text) for text in unread])
        else:
            for text in unread:
                self.text(text)

    def text(self, text: str) -> str:
        if not self.enabled or not text:
            return text
        if (known := self._known.get(text)) is None:
            found = found_in(text)
            self._count(found)
            known = self._known[text] = _without(text, found)
        return known

    def unlisted(self, text: str) -> str:
        """As `text`, of words that are asked and not kept: they are not counted."""
        if not self.enabled or not text:
            return text
        known = self._known.get(text)
        return _without(text, found_in(text)) if known is None else known

    def value(self, value: Any) -> Any:
        """Of JSON, its strings and whole numbers; a string that is JSON stays JSON.

        Itself where there is nothing to take out. Names of fields stay.
        """
        if not self.enabled:
            return value
        match value:
            case str():
                return self._string(value)
            case bool():
                return value
            case int():
                changed = self.text(digits) if len(digits := str(value)) > 11 else digits
                return value if changed == digits else changed
            case list() | tuple():
                return [self.value(one) for one in value]
            case Mapping():
                return {name: self._field(name, one) for name, one in value.items()}
        return value

    def _field(self, name: Any, value: Any) -> Any:
        """A field's name tells a secret as a variable's does."""
        changed = self.value(value)
        if not isinstance(value, str) or changed != value or '"' in value:
            return changed
        told = f'{name}="{value}"'
        found = [one for one in named(told) if one.start > len(str(name))]
        self._count(found)
        return _without(told, found)[len(str(name)) + 2 : -1]

    def _count(self, found: list[Found]) -> None:
        self.total += len(found)
        current().redactions += len(found)
        self._counts.update(one.kind for one in found)

    def _string(self, text: str) -> str:
        if text[:1] in {"{", "["}:
            try:
                inside = orjson.loads(text)
            except orjson.JSONDecodeError:
                return self.text(text)
            changed = self.value(inside)
            return text if changed == inside else orjson.dumps(changed).decode()
        return self.text(text)


def _without(text: str, found: list[Found]) -> str:
    if not found:
        return text
    pieces, end = list[str](), 0
    for one in found:
        pieces += [text[end : one.start], placeholder(one.kind)]
        end = one.end
    return "".join([*pieces, text[end:]])
