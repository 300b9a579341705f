"""OpenAI's byte-pair encodings with their vocabulary inside the wheel: nothing is downloaded.

`rs-bpe` wraps GitHub's linear-time `bpe` crate; loading costs 20 to 45 ms, so it waits for the
first count. ARCHITECTURE.md compares it with the alternatives.
"""

from typing import Any

ENCODINGS = ("o200k_base", "cl100k_base")


class RsBpeTokenizer:
    def __init__(self, name: str = "o200k_base") -> None:
        if name not in ENCODINGS:
            raise ValueError(f"unknown tokenizer {name!r}: one of {', '.join(ENCODINGS)}")
        self.name = name
        self._encoding: Any = None

    def count(self, text: str) -> int:
        if self._encoding is None:
            from rs_bpe.bpe import openai  # here: the vocabulary is built at import

            self._encoding = getattr(openai, self.name)()
        return int(self._encoding.count(text))
