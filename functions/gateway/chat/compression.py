"""Steps 3 and 4 of a turn: recall what could matter, select under the budget, lay the prompt out.

Knows the ranker's port and the memory, no upstream and no limits.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.chat.conversation import (
    Conversation,
    cut_index,
    items_of,
    query_of,
    repeated_block,
    upcoming,
)
from gateway.chat.economics import (
    NOTHING_SENT,
    Billed,
    Forecast,
    Money,
    Prices,
    compare,
    cut_pays,
)
from gateway.chat.prompt import (
    Item,
    Layout,
    Line,
    carried_tokens,
    in_tool_loop,
    lay_out,
    leading_tokens,
    render,
    with_block,
)
from gateway.chat.quoting import count_block
from gateway.chat.wire import (
    INSTRUCTIONS,
    REPLY_PRIMING_TOKENS,
    Message,
    count_extras,
    count_message,
    text_of,
)
from gateway.memory.recall import Candidates, Recall, Scope
from gateway.redaction.base import MARK
from gateway.retrieval.base import LINE_OVERHEAD_TOKENS, Passage, Question, Ranker, Ranking
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.selection import select
from gateway.retrieval.timing import timed
from gateway.telemetry.stages import stage
from gateway.tokens.base import Tokenizer

Status = Literal["hit", "miss", "off", "degraded", "timeout"]


@dataclass(frozen=True, slots=True)
class CompressionOptions:
    token_budget: int = 2000
    recent_turns: int = 6
    compress_above_tokens: int = 3000
    scope: Scope = "user"
    top_k: int = 64
    prices: Prices | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What goes to the upstream and how it came about. Tokens are counted, never guessed.

    `upcoming` is the session as it is about to be stored, where the ranker had better read it
    before the next turn.
    """

    messages: Sequence[Message]
    changed: bool = False
    tokens_before: int = 0
    tokens_after: int = 0
    status: Status = "off"
    retriever: str = "none; reason=memory-off"
    lines: Sequence[Line] = ()
    block: str = ""
    segments_skipped: int = 0
    latency_seconds: float = 0.0
    forecast: Forecast = NOTHING_SENT
    money: Money | None = None
    layout: Mapping[str, int] = field(default_factory=dict)
    upcoming: Sequence[Passage] = ()

    @property
    def tokens_saved(self) -> int:
        """Negative when remembered lines of other sessions weigh more than what was cut."""
        return self.tokens_before - self.tokens_after


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
        before = self._tokens_before(conversation, items)
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

    def _tokens_before(self, conversation: Conversation, items: Sequence[Item]) -> int:
        """This session's history plus what was sent, verbatim, each message once."""
        head = conversation.loaded.head
        in_hand = {item.id for item in items if item.id}
        elsewhere = head.tokens - sum(
            entry.tokens for entry in head.log if entry.active and entry.id in in_hand
        )
        tokens = conversation.fixed_tokens + sum(item.tokens for item in items)
        return tokens + max(0, elsewhere)

    def _layout(self, conversation: Conversation, items: Sequence[Item], before: int) -> Layout:
        if before <= self.options.compress_above_tokens or conversation.unquoted:
            return Layout(items)
        head = conversation.loaded.head
        first_turn = 0
        if not conversation.alignment.resent:
            in_tail = sum(record.role == "user" for record in head.branch())
            first_turn = max(0, head.turns - in_tail)
        layout = lay_out(items, first_turn=first_turn, recent=self.options.recent_turns)
        return Layout(items) if self._cache_is_worth_more(conversation, items, layout) else layout

    def _cache_is_worth_more(
        self, conversation: Conversation, items: Sequence[Item], layout: Layout
    ) -> bool:
        """Whether the prefix that the upstream has cached for this session outweighs the cut."""
        usage, fixed = conversation.loaded.head.usage, conversation.fixed_tokens
        cached = int(usage.get("cached_tokens") or 0)
        prices = self._prices(conversation)
        if prices is None or not cached or not layout.cut or usage.get("cut"):
            return False
        return not cut_pays(
            prices,
            whole=Billed(fixed + sum(item.tokens for item in items), cached),
            window=Billed(fixed + layout.tokens, fixed + leading_tokens(layout)),
            block=self.options.token_budget,
            turns=self.options.recent_turns,
        )

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
        question = Question(query, indexes, owner, epoch, _InHand(layout, conversation))
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
            in_hand=_InHand(layout, conversation),
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
            Billed(before, self._cached_uncut(conversation, layout, before)),
            Billed(after, self._cached(conversation, layout, added)),
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

    def _cached_uncut(self, conversation: Conversation, layout: Layout, before: int) -> int:
        """Of the session's whole history: all but the last answer and what followed it."""
        kept = carried_tokens(layout.kept, blocks=False)
        tokens = before - REPLY_PRIMING_TOKENS - layout.tokens + kept if kept else 0
        return self._long_enough(conversation, tokens)

    def _cached(self, conversation: Conversation, layout: Layout, block: int) -> int:
        """What the session's last prompt and this one begin with, the upstream has cached."""
        head, fixed = conversation.loaded.head, conversation.fixed_tokens - REPLY_PRIMING_TOKENS
        looping = in_tool_loop(conversation.messages)
        moved = layout.moved and not looping
        if bool(head.usage.get("cut")) != bool(layout.cut) or (layout.cut and moved):
            carried = leading_tokens(layout)
        else:
            blocks = bool(block) or bool(head.block.get("text"))
            carried = carried_tokens(layout.kept, blocks=blocks and not looping)
            carried += block if looping else 0
        return self._long_enough(conversation, fixed + carried if carried else 0)

    def _prices(self, conversation: Conversation) -> Prices | None:
        """Of the model that is asked, or those of the settings."""
        return conversation.prices or self.options.prices

    def _long_enough(self, conversation: Conversation, tokens: int) -> int:
        """Of a prefix, what the upstream caches at all."""
        prices = self._prices(conversation)
        return tokens if prices is None or tokens >= prices.cached_from else 0


class _InHand:
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
