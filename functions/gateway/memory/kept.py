"""Owners and heads as they were last read or written, kept parsed for the next turn.

A document is read on every turn all the same, and only what was parsed from that very version is
taken: another instance's write is another version, so nothing stale is ever believed. What it saves
is the parsing of a head's five hundred lines and recent messages.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from gateway.documents.base import Document, Fields, Version
from gateway.memory.heads import APPEND_KEYS, LOG_ENTRIES, Head, Owner

MOST_CHARACTERS = 4 * 1024 * 1024  # as stored; parsed they take about four times as much


class _Kept(NamedTuple):
    version: Version
    parsed: Owner | Head
    characters: int


class Kept:
    """Of the least recently used the parsed form is dropped first."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self._most_characters = most_characters
        self._characters = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def owner(self, document: Document | None) -> Owner:
        if document is None:
            return Owner()
        kept = self._get(document)
        if not isinstance(kept, Owner):
            kept = Owner.of(document)
            self._put(document.path, document.version, kept, document.fields)
        return kept

    def head(self, document: Document | None, session: str) -> Head:
        if document is None:
            return Head(session=session)
        kept = self._get(document)
        if not isinstance(kept, Head):
            kept = Head.of(document, session)
            self._put(document.path, document.version, kept, document.fields)
        return kept

    def wrote(self, path: str, head: Head, fields: Fields, version: Version) -> None:
        """`fields` are what `head` was packed as, `version` what the store answered."""
        read = replace(
            head,
            requests=list(head.requests[-APPEND_KEYS:]),
            log=list(head.log[-LOG_ENTRIES:]),
            version=version,
        )
        self._put(path, version, read, fields)

    def _get(self, document: Document) -> Owner | Head | None:
        kept = self._kept.get(document.path)
        if kept is None or kept.version != document.version:
            return None
        self._kept.move_to_end(document.path)
        return kept.parsed

    def _put(self, path: str, version: Version, parsed: Owner | Head, fields: Fields) -> None:
        self._forget(path)
        characters = sum(len(value) for value in fields.values() if isinstance(value, str))
        self._kept[path] = _Kept(version, parsed, characters)
        self._characters += characters
        while self._characters > self._most_characters and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))

    def _forget(self, path: str) -> None:
        if gone := self._kept.pop(path, None):
            self._characters -= gone.characters
