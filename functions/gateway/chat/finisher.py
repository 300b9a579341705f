"""How a turn ends, exactly once.

Stored: the answer with its question, receipt, settlement and idempotency record, in one commit.
Interrupted: the same, the answer marked. Given up: nothing is stored, reserved tokens return.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.accounts.flags import Flags
from gateway.chat.additions import addition, answers
from gateway.chat.claims import Claims, StoredAnswer
from gateway.chat.completion import Completion
from gateway.chat.economics import Prices
from gateway.chat.estimates import Sizes
from gateway.chat.names import Names
from gateway.chat.receipt import money_of, receipt
from gateway.chat.spending import spent
from gateway.chat.turn import Turn
from gateway.chat.wire import count_message
from gateway.documents.base import StoreUnavailable, Write
from gateway.errors import GatewayError
from gateway.limits.base import Spent
from gateway.limits.limiter import Limiter
from gateway.memory.growth import Addition
from gateway.memory.heads import Head
from gateway.memory.log import MessageLog
from gateway.telemetry.record import current
from gateway.telemetry.stages import end_completion, stage
from gateway.telemetry.tracing import Value
from gateway.tokens.base import Tokenizer


class Finisher:
    def __init__(
        self,
        log: MessageLog,
        limiter: Limiter,
        claims: Claims,
        tokenizer: Tokenizer,
        sizes: Sizes,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        prices: Prices | None,
        answers_are_memories: bool,
        flags: Flags,
        names: Names | None = None,
    ) -> None:
        self._names = names
        self._log = log
        self._limiter = limiter
        self._claims = claims
        self._tokenizer = tokenizer
        self._sizes = sizes
        self._clock = clock
        self._new_id = new_id
        self._prices = prices
        self._answers_are_memories = answers_are_memories
        self._flags = flags

    async def remember(
        self, turn: Turn, completion: Completion, answer: StoredAnswer, *, interrupted: bool = False
    ) -> None:
        """Store and settle the turn. Raises what `MessageLog.append` raises.

        A client that left without its answer may use its idempotency key again, and so may one
        whose answer no document could hold: that is paid for all the same. When the store is away,
        the commit may have gone through, so the key stays claimed.
        """
        self._noted(completion, "cancelled" if interrupted else "")
        if not interrupted:
            tokens = self._completion_tokens(completion) / turn.request.choices
            self._sizes.learn(turn.owner, turn.request.model, tokens)
        if turn.writes:
            beside = await self._beside(turn, completion, None if interrupted else answer)
            try:
                with stage("remember"):
                    await self._append(turn, completion, beside, interrupted)
            except StoreUnavailable:
                raise
            except GatewayError:
                await self.give_up(turn, completion)
                raise
        else:
            spending = await self._spent(turn, completion, answered=not interrupted)
            await self._limiter.settle(
                turn.reservation, self._tokens_used(turn, completion), spending
            )
            if self._names and not interrupted:
                await self._names.keep(*_named(turn, completion))
            if turn.claim and not interrupted:
                await self._claims.keep(turn.claim, answer)
        if turn.claim and interrupted:
            await self._claims.release(turn.claim)

    async def give_up(self, turn: Turn, completion: Completion | None = None) -> None:
        """Nothing is stored; with a `completion` the tokens of what did come are paid for."""
        self._noted(completion, "given_up")
        if completion is None:
            await self._limiter.settle(turn.reservation, 0)
        else:
            spending = await self._spent(turn, completion, answered=False)
            used = self._tokens_used(turn, completion)
            await self._limiter.settle(turn.reservation, used, spending)
        if turn.claim:
            await self._claims.release(turn.claim)

    def _noted(self, completion: Completion | None, error: str) -> None:
        """For the log, and for the span of the upstream's answer, which is now over."""
        record = current()
        told: dict[str, Value] = {}
        if completion is not None:
            record.tokens_completion = self._completion_tokens(completion)
            told["gen_ai.usage.output_tokens"] = record.tokens_completion
            told["gen_ai.response.finish_reasons"] = completion.finish_reasons
        if record.tokens_after is not None:
            told["gen_ai.usage.input_tokens"] = record.tokens_after
        end_completion(told, record.upstream_error or error)

    def _tokens_used(self, turn: Turn, completion: Completion) -> int:
        """The upstream's own count, or ours where it gave none; nothing out of the cache."""
        if not turn.bought:
            return 0
        total = (completion.usage or {}).get("total_tokens")
        if isinstance(total, int) and total >= 0:
            return total
        return turn.prompt.tokens_after + self._completion_tokens(completion)

    async def _append(
        self, turn: Turn, completion: Completion, beside: Sequence[Write], interrupted: bool
    ) -> None:
        await turn.redactor.read([one.text for one in completion.answers()])
        answered = answers(turn, completion, self._tokenizer, self._new_id, interrupted=interrupted)
        paid = receipt(
            turn,
            completion,
            completion_tokens=self._completion_tokens(completion),
            finished=self._clock(),
            interrupted=interrupted,
            prices=turn.model.prices or self._prices,
        )

        def compose(head: Head) -> Addition:
            composed = addition(
                turn,
                head,
                answered,
                paid,
                self._tokenizer,
                usage=completion.usage,
                answers_are_memories=self._answers_are_memories,
            )
            return replace(composed, beside=beside)

        await self._log.append(turn.owner, turn.loaded.head.session, compose, turn.loaded)

    async def _beside(
        self, turn: Turn, completion: Completion, answer: StoredAnswer | None
    ) -> list[Write]:
        """Of an interrupted answer there is none to keep."""
        spending = await self._spent(turn, completion, answered=answer is not None)
        used = self._tokens_used(turn, completion)
        writes: list[Write] = [*self._limiter.settlement(turn.reservation, used, spending)]
        if self._names and answer:
            writes += self._names.kept(*_named(turn, completion))
        if turn.claim and answer:
            writes.append(self._claims.kept(turn.claim, answer))
        return writes

    async def _spent(self, turn: Turn, completion: Completion, *, answered: bool) -> Spent:
        """With analytics off what the budgets need, and no more."""
        tokens = self._completion_tokens(completion)
        money = money_of(turn, completion, tokens, turn.model.prices or self._prices)
        used = spent(turn, tokens, money, answered=answered)
        counted = await self._flags.enabled("ENABLE_USAGE_ANALYTICS", turn.owner)
        return used if counted else Spent(cost=used.cost)

    def _completion_tokens(self, completion: Completion) -> int:
        usage = completion.usage or {}
        if isinstance(tokens := usage.get("completion_tokens"), int):
            return tokens
        choices = completion.choices.values()
        reasoning = sum(self._tokenizer.count(choice.reasoning) for choice in choices)
        return reasoning + sum(count_message(one.message(), self._tokenizer) for one in choices)


def _named(turn: Turn, completion: Completion) -> tuple[str, str, list[str], str]:
    """What `Names` notes of an answer that the upstream has kept."""
    names = completion.names if turn.request.stores else []
    session = turn.loaded.head.session if turn.writes else ""
    return turn.owner, turn.reservation.subject, names, session
