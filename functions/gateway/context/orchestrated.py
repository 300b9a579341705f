"""A search that a model words: up to three queries for a conversation, their results fused.

Where the model is away, is not configured or answers nonsense twice, the conversation's own last
words are the query: a search never fails for the model's sake, and says who worded it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from gateway.consulting.answers import InvalidAnswer
from gateway.consulting.model import Model
from gateway.context import queries, synthesis
from gateway.context.fusing import Fused, fused
from gateway.context.queries import Spoken
from gateway.context.synthesis import Sentence
from gateway.errors import RateLimited, TooLarge, UpstreamFailed, UpstreamTimedOut
from gateway.identity.base import Identity
from gateway.search.search import Found, Search, Wanted

Wording = Literal["model", "plain"]
Shortfall = Literal["no_model", "invalid_answer", "upstream_failed", "too_large", "rate_limited"]
SYNTHESIZED = 10  # hits that the model is shown


@dataclass(frozen=True, slots=True)
class Worded:
    """`shortfall`: why it was not the model that worded the queries."""

    queries: Sequence[str]
    by: Wording
    shortfall: Shortfall | None = None


@dataclass(frozen=True, slots=True)
class Synthesis:
    """No sentence: what was found does not tell. None with a shortfall: there is no answer."""

    sentences: Sequence[Sentence] | None
    shortfall: Shortfall | None = None


@dataclass(frozen=True, slots=True)
class Orchestrated:
    """`results` are the searches, by query; `synthesis` is None where none was asked for."""

    worded: Worded
    results: Sequence[Found]
    hits: Sequence[Fused]
    synthesis: Synthesis | None = None


class Orchestration:
    def __init__(self, search: Search, model: Model) -> None:
        self._search = search
        self._model = model

    async def find(
        self,
        caller: Identity,
        conversation: Sequence[Spoken],
        wanted: Wanted,
        *,
        synthesize: bool = False,
    ) -> Orchestrated:
        """`wanted.query` is the plain query.

        Raises what the limiter raises, `Contested` while the memory is being erased.
        """
        worded = await self._worded(caller, conversation, wanted.query)
        results = [
            await self._search.find(caller.owner, replace(wanted, query=query))
            for query in worded.queries
        ]
        hits = fused([one.hits for one in results])[: wanted.top_k]
        done = Orchestrated(worded, results, hits)
        if not synthesize:
            return done
        return replace(done, synthesis=await self._synthesis(caller, conversation, hits))

    async def _worded(self, caller: Identity, conversation: Sequence[Spoken], plain: str) -> Worded:
        if not self._model.configured:
            return Worded([plain], "plain", "no_model")
        try:
            asked = queries.question(conversation)
            found = await self._model.ask(caller, asked, queries.read, queries.ANSWER_TOKENS)
        except InvalidAnswer:
            return Worded([plain], "plain", "invalid_answer")
        except (UpstreamFailed, UpstreamTimedOut):
            return Worded([plain], "plain", "upstream_failed")
        except TooLarge:  # more tokens than the caller's limit could ever let through
            return Worded([plain], "plain", "too_large")
        return Worded(found, "model")

    async def _synthesis(
        self, caller: Identity, conversation: Sequence[Spoken], hits: Sequence[Fused]
    ) -> Synthesis:
        if not self._model.configured:
            return Synthesis(None, "no_model")
        shown = hits[:SYNTHESIZED]
        if not shown:
            return Synthesis(())
        asked, read = synthesis.question(conversation, shown), partial(synthesis.read, found=shown)
        try:
            return Synthesis(await self._model.ask(caller, asked, read, synthesis.ANSWER_TOKENS))
        except InvalidAnswer:
            return Synthesis(None, "invalid_answer")
        except (UpstreamFailed, UpstreamTimedOut):
            return Synthesis(None, "upstream_failed")
        except TooLarge:
            return Synthesis(None, "too_large")
        except RateLimited:  # what was found is not lost for it
            return Synthesis(None, "rate_limited")
