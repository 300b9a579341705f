"""What a request may cost in tokens, known before anything is read or spent."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.chat.compression import CompressionOptions
from gateway.chat.prompt import Item, lay_out
from gateway.chat.wire import INSTRUCTIONS, ChatRequest

FIRST_GUESS_TOKENS = 400
LONGEST_GUESS_TOKENS = 4_000  # one very long answer must not keep later requests out
WEIGHT_OF_THE_NEWEST = 0.2
MAX_KEPT = 1_024
HISTORY_GROWTH = 1.25


class Sizes:
    """What past turns teach about the next: how long one choice is, an exponential average per
    owner and model, and how much history a session brought last. Bounded."""

    def __init__(self) -> None:
        self._averages: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._histories: OrderedDict[tuple[str, str], int] = OrderedDict()

    def expected(self, owner: str, model: str) -> int:
        average = self._averages.get((owner, model), FIRST_GUESS_TOKENS)
        return round(min(average, LONGEST_GUESS_TOKENS))

    def learn(self, owner: str, model: str, tokens: float) -> None:
        before = self._averages.pop((owner, model), float(FIRST_GUESS_TOKENS))
        self._averages[owner, model] = before + WEIGHT_OF_THE_NEWEST * (tokens - before)
        if len(self._averages) > MAX_KEPT:
            self._averages.popitem(last=False)

    def history(self, owner: str, session: str) -> int:
        """Tokens a session's prompt took last, and room for one more turn; 0 when unknown."""
        return round(HISTORY_GROWTH * self._histories.get((owner, session), 0))

    def learn_history(self, owner: str, session: str, tokens: int) -> None:
        self._histories.pop((owner, session), None)
        self._histories[owner, session] = tokens
        if len(self._histories) > MAX_KEPT:
            self._histories.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Bound:
    """`sure` tokens are asked for in so many words, `guessed` ones may come on top."""

    sure: int
    guessed: int

    def within(self, limit: int) -> int:
        """What to reserve under a limit (0: none): no guess makes a request too large."""
        room = max(0, limit - self.sure) if limit else self.guessed
        return self.sure + min(self.guessed, room)


def bound_of(
    owner: str,
    request: ChatRequest,
    tokens: Sequence[int],
    fixed_tokens: int,
    options: CompressionOptions,
    sizes: Sizes,
    *,
    reads: bool,
    session: str | None,
) -> Bound:
    """Tokens of the prompt after compression, as sent when memory is not read, and the answer.

    A client that sends only what is new may have a history that nobody has read yet: as much as the
    session's last prompt, or `compress_above_tokens`, whichever is more.
    """
    sure, guessed = fixed_tokens + sum(tokens), 0
    if reads and sure > options.compress_above_tokens:
        items = [Item(m, t) for m, t in zip(request.messages, tokens, strict=True)]
        sure = fixed_tokens + lay_out(items, first_turn=0, recent=options.recent_turns).tokens
    if reads:
        guessed += options.token_budget
        if session is not None and not _resends(request):
            guessed += max(options.compress_above_tokens, sizes.history(owner, session))
    if request.max_completion_tokens is None:
        guessed += sizes.expected(owner, request.model) * request.choices
    else:
        sure += request.max_completion_tokens
    return Bound(sure, guessed)


def _resends(request: ChatRequest) -> bool:
    return any(message["role"] not in {"user", *INSTRUCTIONS} for message in request.messages)
