"""How long questions take about a memory that was read: the embedded model with its adapter.

    PYTHONPATH=functions:gpu .venv/bin/python tests/benchmarks/warm.py --tokens 25000

Made-up lives are laid out in windows as the gateway cuts them, read once, and asked about; number
types, and shares of the windows that the heads are asked about, take turns, so that a busy machine
hits all alike. A share of 1 goes without the embedding. Milliseconds of the retriever alone.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "gpu"))  # ahead of this file's own folder
from retriever.errors import Unusable
from retriever.evaluating.contender import GATEWAY_SHARE, Contender
from retriever.evaluating.heads import score
from retriever.judging.dialogues import wire_text
from retriever.learning.lives import lives
from retriever.models.embedded import ADAPTER, EMBEDDED
from retriever.models.loading import load
from retriever.models.sentences import MINILM, load_sentences
from retriever.reading.reader import Reader
from retriever.settings import Settings
from retriever_contract.wire import Chunk, Window

LABEL_TOKENS = 6  # of a model's, before each message
SEED = 3
MANY = 1000


@dataclass
class Runner:
    name: str
    contender: Contender
    reader: Reader
    cold_seconds: float = 0.0
    warm_seconds: list[float] = field(default_factory=list)

    def ask(self, windows: Sequence[Window], question: str) -> float:
        started = time.perf_counter()
        score(self.reader, "somebody", windows, question)
        return time.perf_counter() - started

    def told(self) -> str:
        warm = sorted(1000 * one for one in self.warm_seconds)
        p95 = warm[int(0.95 * (len(warm) - 1))]
        return (
            f"{self.name:>20}  cold {self.cold_seconds:6.1f} s  "
            f"warm p50 {statistics.median(warm):5.0f} ms  p95 {p95:5.0f} ms"
        )


def runner(dtype: str, share: float) -> Runner:
    """Raises Unusable: the embedded model, or the embedding beside it, is not installed."""
    named = {"model_name": EMBEDDED, "lora_id": ADAPTER, "device": "cpu", "dtype": dtype}
    settings = Settings().model_copy(update=named)
    contender = Contender(dtype, *load(settings), settings)
    if share >= 1:
        return Runner(f"{dtype}, all windows", contender, contender.reader())
    model = contender.checkpoint.model
    sentences = load_sentences(MINILM, model.device, model.dtype)
    return Runner(f"{dtype}, {share:.0%} of them", contender, contender.reader(sentences, share))


def memory(contender: Contender, tokens: int) -> Iterator[tuple[Window, int]]:
    """Windows of so many of the model's tokens together, and how many each has."""
    most = GATEWAY_SHARE * contender.profile.window_tokens
    chunks: list[Chunk] = []
    held = left = 0
    for life in lives(MANY, SEED):
        for message in life.messages:
            size = contender.length(wire_text(message)) + LABEL_TOKENS
            if chunks and (held + size > most or left + held >= tokens):
                yield Window(chunks=chunks), held
                left, held, chunks = left + held, 0, []
            if left >= tokens:
                return
            chunks.append(Chunk(id=f"{life.id}/{message.id}", text=wire_text(message)))
            held += size


def measure(
    tokens: int, questions: int, dtypes: Sequence[str], shares: Sequence[float]
) -> Iterator[str]:
    """Raises Unusable."""
    runners = [runner(dtype, share) for dtype in dtypes for share in shares]
    told = list(memory(runners[0].contender, tokens))
    windows = [window for window, _ in told]
    asked = [one.text for life in lives(MANY, SEED) for one in islice(life.questions, 2)]
    held = sum(size for _, size in told)
    yield (
        f"{held:,} tokens in {len(windows)} windows, {questions} questions, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    for one in runners:
        one.cold_seconds = one.ask(windows, asked[-1])
    for question in asked[:questions]:
        for one in runners:
            one.warm_seconds.append(one.ask(windows, question))
    yield from (one.told() for one in runners)


def main() -> None:
    parser = argparse.ArgumentParser(description="Warm questions to the embedded model.")
    parser.add_argument("--tokens", type=int, default=25_000)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--dtypes", nargs="+", default=["auto", "float32"])
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0, 0.5])
    given = parser.parse_args()
    try:
        for line in measure(given.tokens, given.questions, given.dtypes, given.shares):
            print(line, flush=True)
    except Unusable as unusable:
        sys.exit(str(unusable))


if __name__ == "__main__":
    main()
