"""What a request may cost in tokens, known before anything is read or spent."""

from collections import OrderedDict
from collections.abc import Sequence

from gateway.chat.compression import CompressionOptions
from gateway.chat.prompt import Item, lay_out
from gateway.chat.wire import INSTRUCTIONS, ChatRequest

FIRST_GUESS_TOKENS = 400
WEIGHT_OF_THE_NEWEST = 0.2
MAX_MODELS = 256


class CompletionSizes:
    """How long answers are, learnt per model: an exponential average, bounded in models."""

    def __init__(self) -> None:
        self._averages: OrderedDict[str, float] = OrderedDict()

    def expected(self, model: str) -> int:
        return round(self._averages.get(model, FIRST_GUESS_TOKENS))

    def learn(self, model: str, tokens: int) -> None:
        before = self._averages.pop(model, float(FIRST_GUESS_TOKENS))
        self._averages[model] = before + WEIGHT_OF_THE_NEWEST * (tokens - before)
        if len(self._averages) > MAX_MODELS:
            self._averages.popitem(last=False)


def completion_bound(request: ChatRequest, sizes: CompletionSizes) -> int:
    limit = request.max_completion_tokens
    return sizes.expected(request.model) * request.choices if limit is None else limit


def prompt_bound(
    request: ChatRequest,
    tokens: Sequence[int],
    fixed_tokens: int,
    options: CompressionOptions,
    *,
    reads: bool,
    names_session: bool,
) -> int:
    """Tokens of the prompt after compression at the most; as sent when memory is not read.

    A client that sends only what is new may have up to `compress_above_tokens` of history that
    nobody has read yet.
    """
    sent = fixed_tokens + sum(tokens)
    if not reads:
        return sent
    resends = any(message["role"] not in {"user", *INSTRUCTIONS} for message in request.messages)
    history = options.compress_above_tokens if names_session and not resends else 0
    if sent > options.compress_above_tokens:
        items = [Item(m, t) for m, t in zip(request.messages, tokens, strict=True)]
        sent = fixed_tokens + lay_out(items, first_turn=0, recent=options.recent_turns).tokens
    return sent + history + options.token_budget
