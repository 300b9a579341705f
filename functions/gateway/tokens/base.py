"""Counting tokens, as OpenAI's chat format does. Which tokenizer counts is the wiring's choice."""

from typing import Protocol


class Tokenizer(Protocol):
    name: str

    def count(self, text: str) -> int:
        """Tokens of `text`; control tokens written out in it count as ordinary text."""
