"""How scores of windows of uneven length compare: recall@10 by the power that scales them.

    PYTHONPATH=functions:gpu MODEL_NAME=embedded:smollm2-135m-instruct \
        .venv/bin/python tests/benchmarks/window_lengths.py --set locomo --conversations 2

The heads of the model's profile alone rank all messages of a conversation, which is cut evenly and
then into windows of random length; each power is applied to the same scores. Nothing is fused.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import fmean

from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

from retriever.evaluating.metrics import share
from retriever.judging.dialogues import (
    VARIABLE,
    Dialogue,
    Question,
    read_sets,
    wire_text,
)
from retriever.models.loading import load
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.reader import Reader
from retriever.serving.building import PASS_ROWS, prompt_of
from retriever.settings import Settings
from retriever_contract.wire import Chunk

OWNER = "0" * 16
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
LENGTHS = (150, 300, 600, 1000, 1990)  # tokens, of uneven windows
SEED = 5

Lengths = Sequence[int]


class Ranker:
    """The model, and windows that are cut as told."""

    def __init__(self) -> None:
        checkpoint, self.profile = load(Settings())
        self._prompt = prompt_of(checkpoint, self.profile)
        self._decoder = Decoder(checkpoint.model, self.profile.heads)

    def cut(self, dialogue: Dialogue, lengths: Lengths) -> list[list[Chunk]]:
        """Windows whose lengths are drawn from `lengths`."""
        rng = Random(SEED)
        windows: list[list[Chunk]] = []
        room = 0
        for message in dialogue.messages:
            chunk = Chunk(id=message.id, text=wire_text(message)[:4000])
            size = self.tokens([chunk])
            if not windows or size > room:
                windows.append([])
                room = rng.choice(lengths)
            windows[-1].append(chunk)
            room -= size
        return windows

    def tokens(self, chunks: Sequence[Chunk]) -> int:
        return sum(len(piece) for one in chunks for piece in self._prompt.chunk(9, one.text))

    def scores(
        self, windows: list[list[Chunk]], questions: Sequence[Question]
    ) -> Iterator[tuple[Question, list[float]]]:
        cache = WindowCache(64 << 30, float("inf"), time.monotonic)
        longest = self.profile.window_tokens * 2
        reader = Reader(
            self._decoder, self._prompt, cache, window_tokens=longest, pass_rows=PASS_ROWS["cpu"]
        )
        for question in tqdm(questions, leave=False):
            job = reader.begin(OWNER, 0, windows, [question.text])
            while not job.is_done:
                reader.step([job])
            yield question, job.scores()[0]


def recalls(
    ranker: Ranker, dialogue: Dialogue, questions: Sequence[Question], lengths: Lengths
) -> list[float]:
    """Recall@10 at each of `POWERS`."""
    windows = ranker.cut(dialogue, lengths)
    ids = [chunk.id for window in windows for chunk in window]
    full = ranker.profile.window_tokens
    shares = [min(1.0, ranker.tokens(w) / full) for w in windows for _ in w]
    found: dict[float, list[float]] = {power: [] for power in POWERS}
    for question, scores in ranker.scores(windows, questions):
        for power in POWERS:
            scaled = [-s * part**power for s, part in zip(scores, shares, strict=True)]
            order = [ids[i] for i in sorted(range(len(ids)), key=scaled.__getitem__)]
            found[power].append(share(order[:10], frozenset(question.evidence)))
    return [fmean(found[power]) for power in POWERS]


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall@10 by the power that scales windows.")
    parser.add_argument("--set", default="locomo")
    parser.add_argument("--conversations", type=int, default=2)
    parser.add_argument("--questions", type=int, default=40)
    given = parser.parse_args()
    ranker = Ranker()
    folder = os.environ.get(VARIABLE)
    sets = read_sets(Path(folder) if folder else None, "dev", [given.set], noncommercial=True)
    print("cut".ljust(20), *(f"{power:>6}" for power in POWERS))
    for dialogue in sets[given.set][: given.conversations]:
        asked = [one for one in dialogue.questions if one.evidence and one.kind != "adversarial"]
        questions = Random(1).sample(asked, min(given.questions, len(asked)))
        for name, lengths in (("evenly", LENGTHS[-1:]), ("unevenly", LENGTHS)):
            row = recalls(ranker, dialogue, questions, lengths)
            print(f"{dialogue.id} {name}".ljust(20), *(f"{one:6.3f}" for one in row), flush=True)


if __name__ == "__main__":
    main()
