"""What may be kept of a message: its text and what stands beside it, redacted. Pure.

The hash that tells a message again is of what the client said, before anything is taken out of it.
"""

from typing import Any

from gateway.chat.wire import Message, count_message, extras_of, text_of
from gateway.redaction.extras import redacted_extras
from gateway.redaction.redactor import Redactor
from gateway.tokens.base import Tokenizer


def kept_text(message: Message, redactor: Redactor) -> str:
    return redactor.text(text_of(message))


def kept_extras(message: Message, redactor: Redactor) -> dict[str, Any]:
    return redacted_extras(extras_of(message), redactor)


def kept_tokens(message: Message, redactor: Redactor, tokenizer: Tokenizer) -> int:
    """Of the message with its text as it is kept."""
    tokens, text = count_message(message, tokenizer), text_of(message)
    if (kept := redactor.text(text)) == text:
        return tokens
    return max(0, tokens + tokenizer.count(kept) - tokenizer.count(text))
