"""A memory with facts and messages, and everything that reads both for a conversation."""

from typing import Any

from gateway.context.context import Answer, Asked, Context
from gateway.documents.base import Documents
from gateway.memory.recall import IndexCache
from gateway.retrieval.lexical import LexicalRanker
from gateway.search.library import Library
from gateway.search.newest import Newest
from gateway.search.scoring import Weights
from gateway.search.search import Search
from gateway.tokens.rs_bpe import RsBpeTokenizer
from support.facts import Records
from support.memories import Scribe

BUDGET = 2000
MEGABYTES = 50 * 1_000_000


class Mind:
    """Records and a scribe on one clock, and contexts of what they wrote."""

    def __init__(self, documents: Documents) -> None:
        self.records, self.scribe = Records(documents), Scribe(documents)
        self.clock = self.scribe.clock = self.records.clock
        self.tokenizer = RsBpeTokenizer("o200k_base")
        library = Library(documents, IndexCache(MEGABYTES))
        self.search = Search(library, LexicalRanker(), Weights(), self.clock)
        newest = Newest(documents)
        register = self.records.register
        self.context = Context(register, self.search, newest, self.tokenizer.count, self.clock)

    async def says(self, question: str, answer: str = "Noted.", *, session: str = "s") -> list[str]:
        """One turn; returns the ids of both messages."""
        turn = self.scribe.turn(question, answer)
        await self.scribe.append(session, *turn)
        return [one.id for one in turn]

    async def ask(self, depth: Any, query: str = "", **named: Any) -> Answer:
        asked = Asked(query, depth, **{"budget": BUDGET, **named})
        return await self.context.build(self.records.owner, asked)
