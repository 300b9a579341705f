"""Tokens of the memory block, each quoted line counted once for as long as its message is kept.

Both of OpenAI's encodings cut text into pieces before they count, and a piece takes the line end
that follows punctuation. Every line here ends in `"}` and none begins with a line end or a slash,
so lines counted one by one add up to the whole.
"""

from collections.abc import Sequence

from gateway.chat.prompt import CLOSING, NOTE, OPENING, Line
from gateway.chat.wire import MESSAGE_OVERHEAD_TOKENS
from gateway.tokens.base import Tokenizer

BESIDE = 3  # lines of the block that quote nobody


def count_block(block: str, lines: Sequence[Line], tokenizer: Tokenizer) -> int:
    """Tokens of the message that the block is; `lines` are those it was rendered of, if it was."""
    if not block:
        return 0
    quoted = block.split("\n")[BESIDE - 1 : -1]
    if len(quoted) != len(lines):
        return MESSAGE_OVERHEAD_TOKENS + tokenizer.count(block)
    frame = tokenizer.count(f"{OPENING}\n{NOTE}\n") + tokenizer.count(CLOSING)
    each = (_count(line, text, tokenizer) for line, text in zip(lines, quoted, strict=True))
    return MESSAGE_OVERHEAD_TOKENS + frame + sum(each)


def _count(line: Line, text: str, tokenizer: Tokenizer) -> int:
    traits = line.passage.traits
    if traits.quoted is None:
        traits.quoted = tokenizer.count(f"{text}\n")
    return traits.quoted
