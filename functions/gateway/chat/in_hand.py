"""What a prompt holds already and need not be told again. Pure."""

import functools

from gateway.chat.conversation import Conversation
from gateway.chat.prompt import Layout
from gateway.chat.wire import text_of
from gateway.redaction.base import MARK
from gateway.retrieval.base import Passage


class InHand:
    """Whether the prompt holds a message already, the same words in another session included.

    What was stored redacted is compared with the prompt's words redacted.
    """

    def __init__(self, layout: Layout, conversation: Conversation) -> None:
        self._ids = {item.id for item in layout.kept if item.id}
        self._texts = {text_of(item.message).strip() for item in layout.kept}
        self._redactor, self._unquoted = conversation.redactor, conversation.unquoted

    def __call__(self, passage: Passage) -> bool:
        if self._unquoted and passage.session == self._unquoted:
            return True
        if passage.id in self._ids or passage.text.strip() in self._texts:
            return True
        return MARK in passage.text and passage.text.strip() in self._redacted

    @functools.cached_property
    def _redacted(self) -> set[str]:
        return {self._redactor.unlisted(text) for text in self._texts}
