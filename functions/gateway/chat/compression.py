"""Steps 3 and 4 of a turn: recall what could matter, select under the budget, lay the prompt out.

Knows the ranker's port and the memory, no upstream and no limits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.chat.conversation import (
    Conversation,
    cut_index,
    items_of,
    query_of,
    repeated_block,
    tokens_before,
    upcoming,
)
from gateway.chat.economics import Billed, Forecast, Prices, compare
from gateway.chat.in_hand import InHand
from gateway.chat.prefixes import cached, cached_uncut, outweighs_cut
from gateway.chat.prompt import (
    Item,
    Layout,
    Line,
    Prompt,
    in_tool_loop,
    lay_out,
    render,
    with_block,
)
from gateway.chat.quoting import count_block
from gateway.chat.wire import INSTRUCTIONS, Message, count_extras, count_message
from gateway.memory.recall import Candidates, Recall, Scope
from gateway.retrieval.base import LINE_OVERHEAD_TOKENS, Question, Ranker, Ranking
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.selection import select
from gateway.retrieval.timing import timed
from gateway.telemetry.stages import stage
from gateway.tokens.base import Tokenizer


@dataclass(frozen=True, slots=True)
class CompressionOptions:
    token_budget: int = 2000
    recent_turns: int = 6
    compress_above_tokens: int = 3000
    scope: Scope = "user"
    top_k: int = 64
    prices: Prices | None = None


class Compressor:
    def __init__(
        self,
        recall: Recall,
        ranker: Ranker,
        tokenizer: Tokenizer,
        options: CompressionOptions,
        clock: Callable[[], float],
    ) -> None:
        self._recall = recall
        self._ranker = ranker
        self._tokenizer = tokenizer
        self._clock = clock
        self.options = options

    def count(self, messages: Sequence[Message]) -> list[int]:
        return [count_message(message, self._tokenizer) for message in messages]

    def fixed_tokens(self, payload: Mapping[str, Any]) -> int:
        return count_extras(payload, self._tokenizer)

    def as_sent(
        self, payload: Mapping[str, Any], messages: Sequence[Message], tokens: Sequence[int]
    ) -> Prompt:
        """The prompt left alone: memory is off, or only written."""
        total = self.fixed_tokens(payload) + sum(tokens)
        forecast = Forecast(Billed(total), Billed(total))
        return Prompt(messages, tokens_before=total, tokens_after=total, forecast=forecast)

    async def compress(self, conversation: Conversation, *, recall: bool = True) -> Prompt:
        """The prompt with old messages cut and remembered lines brought in.

        Without `recall` only the given messages are ranked, nobody's memory.
        """
        started = self._clock()
        items = items_of(conversation)
        before = tokens_before(conversation, items)
        layout = self._layout(conversation, items, before)
        if in_tool_loop(conversation.messages):
            prompt = self._prompt(conversation, layout, before, repeated_block(conversation))
            prompt = replace(prompt, retriever="none; reason=tool-loop")
        else:
            prompt = await self._with_memory(conversation, layout, before, started, recall)
        return replace(prompt, latency_seconds=self._clock() - started)

    async def _with_memory(
        self,
        conversation: Conversation,
        layout: Layout,
        before: int,
        now: float,
        recall: bool,
    ) -> Prompt:
        query = query_of(conversation)
        found = Candidates([])
        if recall and query:
            with stage("recall"):
                found = await self._recall.candidates(
                    conversation.owner, conversation.loaded, query, self.options.scope, now
                )
        indexes = [*found.indexes, cut_index(conversation, layout, now)]
        indexes = [index for index in indexes if index.chunks]
        with stage("compress"):
            ranking = await self._ranked(conversation, layout, indexes, query)
            lines = self._selected(conversation, layout, ranking)
        prompt = self._prompt(
            conversation, layout, before, render(lines) if lines else "", ranking.seconds, lines
        )
        return replace(
            prompt,
            status=ranking.shortfall or prompt.status,
            lines=lines,
            layout={**prompt.layout, "remembered": len(lines)},
            retriever=ranking.retriever,
            segments_skipped=found.skipped,
            upcoming=upcoming(conversation, self._tokenizer, now) if ranking.warms else (),
        )

    def _layout(self, conversation: Conversation, items: Sequence[Item], before: int) -> Layout:
        if before <= self.options.compress_above_tokens or conversation.unquoted:
            return Layout(items)
        head = conversation.loaded.head
        first_turn = 0
        if not conversation.alignment.resent:
            in_tail = sum(record.role == "user" for record in head.branch())
            first_turn = max(0, head.turns - in_tail)
        layout = lay_out(items, first_turn=first_turn, recent=self.options.recent_turns)
        whole = outweighs_cut(
            conversation,
            items,
            layout,
            self._prices(conversation),
            block=self.options.token_budget,
            turns=self.options.recent_turns,
        )
        return Layout(items) if whole else layout

    async def _ranked(
        self,
        conversation: Conversation,
        layout: Layout,
        indexes: Sequence[LexicalIndex],
        query: str,
    ) -> Ranking:
        if not indexes:
            return Ranking((), "none; reason=no-memory")
        if not query:
            return Ranking((), "none; reason=no-question")
        owner, epoch = conversation.owner, conversation.loaded.owner.epoch
        question = Question(query, indexes, owner, epoch, InHand(layout, conversation))
        return await timed(self._ranker, question)

    def _selected(self, conversation: Conversation, layout: Layout, ranking: Ranking) -> list[Line]:
        scale = ranking.scale
        selected = select(
            ranking.scored,
            budget_tokens=self.options.token_budget,
            top_k=self.options.top_k,
            floor=scale.floor,
            relative=scale.relative,
            cost_power=scale.cost_power,
            in_hand=InHand(layout, conversation),
            overhead_tokens=LINE_OVERHEAD_TOKENS,
        )
        ranks = ranking.ranks
        return [Line(o.passage, o.score, o.rank, ranks.get(o.passage.id, {})) for o in selected]

    def _prompt(
        self,
        conversation: Conversation,
        layout: Layout,
        before: int,
        block: str,
        seconds: float | None = 0.0,
        lines: Sequence[Line] = (),
    ) -> Prompt:
        messages = with_block([item.message for item in layout.kept], block)
        added = count_block(block, lines, self._tokenizer)
        after = conversation.fixed_tokens + layout.tokens + added
        prices = self._prices(conversation)
        instructions = sum(item.role in INSTRUCTIONS for item in layout.kept)
        changed = messages != list(conversation.messages)
        forecast = Forecast(
            Billed(before, cached_uncut(layout, before, prices)),
            Billed(after, cached(conversation, layout, added, prices)),
            seconds,
        )
        if not changed:
            forecast = replace(forecast, before=forecast.after)
        return Prompt(
            messages=messages,
            changed=changed,
            tokens_before=before,
            tokens_after=after,
            status="hit" if block else "miss",
            block=block,
            forecast=forecast,
            money=None if prices is None else compare(prices, forecast),
            layout={
                "instructions": instructions,
                "verbatim": len(layout.kept) - instructions,
                "cut": len(layout.cut),
            },
        )

    def _prices(self, conversation: Conversation) -> Prices | None:
        """Of the model that is asked, or those of the settings."""
        return conversation.prices or self.options.prices
