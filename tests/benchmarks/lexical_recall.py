"""What lexical ranking and selection find, offline: the figures behind their constants.

    MEMORY_OPS_DIALOGUES=FOLDER PYTHONPATH=functions python tests/benchmarks/lexical_recall.py

*Ranking*: evidence recall of messages by BM25 as it is and without what neighbours lend; `--tune`
tries other constants too. *Selection*: recall under the budget, and what questions that have
nothing to do with the memory bring in, by floor. Last, what an index of 5,000 messages weighs, its
texts not counted, and how long a question takes.

On-topic are questions with evidence, LoCoMo's adversarial ones left out. Off-topic are questions of
one conversation asked of another (in LoCoMo also with the other's names put in) and small talk.
"""

import argparse
import gzip
import json
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

from gateway.retrieval import lexical
from gateway.retrieval.base import FLOOR, Chunk, Passage, Scored
from gateway.retrieval.lexical import LexicalIndex, rank
from gateway.retrieval.selection import select
from gateway.tokens.rs_bpe import RsBpeTokenizer

SETS = ("locomo", "beam")
UNASKED = frozenset({"adversarial", "abstention"})
BUDGET_TOKENS = 2000
OVERHEAD_TOKENS = 36
FLOORS = (0.0, 0.04, 0.06, FLOOR, 0.1, 0.12, 0.16)
ASKED_OF_EACH_OTHER = 20
SMALL_TALK = (
    "hello",
    "Hi there!",
    "thanks!",
    "ok",
    "yes please",
    "Continue.",
    "How are you today?",
    "Tell me a joke.",
    "write a python quicksort",
    "What is the capital of France?",
    "What's 17 times 23?",
    "What time is it in Tokyo?",
    "Translate 'good morning' into Japanese.",
    "How do I reverse a linked list in C?",
    "Give me a regex that matches an IPv4 address.",
    "Can you explain how photosynthesis works?",
    "Write a haiku about autumn leaves.",
    "Fix this: SELECT * FORM users;",
    "Summarize the theory of relativity.",
    "Thank you so much, that was very helpful.",
)
TUNED: Sequence[Mapping[str, float]] = (
    {},
    {"BORROWED": 0.0},
    {"BORROWED": 0.2},
    {"BORROWED": 0.3},
    {"BORROWED": 0.5},
    {"K1": 0.9},
    {"K1": 2.0},
    {"B": 0.6},
    {"B": 0.9},
    {"B": 0.4, "K1": 0.9},
)

Asked = tuple[str, frozenset[str]]


class Conversation:
    """A conversation as the memory would hold it, and its questions with their evidence."""

    def __init__(self, row: Mapping[str, Any], tokenizer: RsBpeTokenizer) -> None:
        self.id: str = row["id"]
        self.speakers = sorted({one["speaker"] for one in row["messages"] if one["speaker"]})
        self.chunks = list(chunked(row["messages"], tokenizer))
        self.index = LexicalIndex(self.chunks)
        self.questions: list[Asked] = [
            (one["text"], frozenset(one["evidence"]))
            for one in row["questions"]
            if one["kind"] not in UNASKED and one["evidence"]
        ]

    def rank(self, question: str) -> list[Scored]:
        return rank(question, [self.index])


def chunked(messages: Iterable[Mapping[str, Any]], tokenizer: RsBpeTokenizer) -> Iterator[Chunk]:
    """A user message with its reply; a day is a session."""
    run: list[Passage] = []
    for place, message in enumerate(messages):
        speaker, session = message["speaker"], message["at"] or ""
        text = f"{speaker}: {message['text']}" if speaker else message["text"]
        if run and (message["role"] == "user" or run[-1].session != session):
            yield Chunk(tuple(run))
            run = []
        size = tokenizer.count(text)
        run.append(Passage(message["id"], session, message["role"], text, size, float(place)))
    yield Chunk(tuple(run))


def read(file: Path, limit: int) -> list[Conversation]:
    tokenizer = RsBpeTokenizer()
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:limit]
    return [Conversation(row, tokenizer) for row in tqdm(rows, desc=f"reading {file.name}")]


def best_messages(ranked: Iterable[Scored]) -> list[str]:
    rated = [
        (score, passage.at, passage.id)
        for one in ranked
        for score, passage in zip(one.passage_scores, one.chunk.passages, strict=True)
    ]
    return [id for _, _, id in sorted(rated, reverse=True)]


def share(found: Iterable[str], evidence: frozenset[str]) -> float:
    return len(evidence & set(found)) / len(evidence)


def ranking(conversations: Sequence[Conversation], name: str) -> str:
    """R@5, R@10 and R@20, each the mean over questions."""
    recalls = []
    asked = [(one, *question) for one in conversations for question in one.questions]
    for conversation, text, evidence in tqdm(asked, desc=name, leave=False):
        found = best_messages(conversation.rank(text))
        recalls.append([share(found[:k], evidence) for k in (5, 10, 20)])
    return " ".join(f"{statistics.mean(column):.3f}" for column in zip(*recalls, strict=True))


@contextmanager
def constants(values: Mapping[str, float]) -> Iterator[None]:
    """The ranker with other constants, for as long as the block runs."""
    kept = {name: getattr(lexical, name) for name in values}
    for name, value in values.items():
        setattr(lexical, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(lexical, name, value)


def print_ranking(
    sets: Mapping[str, Sequence[Conversation]], variants: Sequence[Mapping[str, float]]
) -> None:
    print("\nRanking, messages as candidates: R@5 R@10 R@20")
    for values in variants:
        with constants(values):
            rows = [f"{name} {ranking(them, name)}" for name, them in sets.items()]
        label = " ".join(f"{name}={value}" for name, value in values.items()) or "as it is"
        print(f"  {label:<20} {'   '.join(rows)}")


def off_topic(
    sets: Mapping[str, Sequence[Conversation]], randomness: Random
) -> dict[str, list[list[Scored]]]:
    """Rankings of questions that the memory asked knows nothing of."""
    asked: dict[str, list[list[Scored]]] = {}
    for memory_set, memories in sets.items():
        for memory in memories:
            for text in SMALL_TALK:
                asked.setdefault(f"small talk of {memory_set}", []).append(memory.rank(text))
            for asking_set, others in sets.items():
                label = f"{asking_set} of {memory_set}"
                for other in (one for one in others if one.id != memory.id):
                    for text in strangers(other, memory, randomness):
                        asked.setdefault(label, []).append(memory.rank(text))
    return asked


def strangers(other: Conversation, memory: Conversation, randomness: Random) -> Iterator[str]:
    """Questions of another conversation, half of them with the names of this one's speakers."""
    size = min(ASKED_OF_EACH_OTHER, len(other.questions))
    for i, (text, _) in enumerate(randomness.sample(other.questions, size)):
        if i % 2:
            for theirs, ours in zip(other.speakers, memory.speakers, strict=False):
                text = text.replace(theirs, ours)
        yield text


def selected(ranked: Sequence[Scored], floor: float) -> tuple[list[str], int]:
    """Ids and tokens of what would be sent."""
    lines = select(
        ranked,
        budget_tokens=BUDGET_TOKENS,
        top_k=64,
        floor=floor,
        overhead_tokens=OVERHEAD_TOKENS,
    )
    return [one.passage.id for one in lines], sum(
        one.passage.tokens + OVERHEAD_TOKENS for one in lines
    )


def print_selection(sets: Mapping[str, Sequence[Conversation]], seed: int) -> None:
    on_topic = {
        name: [(one.rank(text), evidence) for one in them for text, evidence in one.questions]
        for name, them in sets.items()
    }
    strange = off_topic(sets, Random(seed))
    print(f"\nSelection under {BUDGET_TOKENS} tokens, by floor")
    for floor in tqdm(FLOORS, desc="floors", leave=False):
        print(f"  floor {floor}{' (the default)' if floor == FLOOR else ''}")
        for name, questions in on_topic.items():
            lines = [(*selected(ranked, floor), evidence) for ranked, evidence in questions]
            recall = statistics.mean(share(ids, evidence) for ids, _, evidence in lines)
            tokens = statistics.mean(size for _, size, _ in lines)
            print(f"    {name:<22} recall {recall:.3f}  tokens {tokens:5.0f}")
        for name, rankings in strange.items():
            sizes = [selected(ranked, floor)[1] for ranked in rankings]
            print(
                f"    {name:<22} injected {sum(map(bool, sizes)) / len(sizes):6.0%}"
                f"  tokens {statistics.mean(sizes):5.0f}"
            )


def print_costs(sets: Mapping[str, Sequence[Conversation]]) -> None:
    """An index of up to 5,000 messages: its size without the texts, and its speed."""
    for name, them in sets.items():
        chunks = [chunk for one in them for chunk in one.chunks][:2500]
        started = time.perf_counter()
        LexicalIndex(chunks)
        built = time.perf_counter() - started
        tracemalloc.start()
        index = LexicalIndex(chunks)
        size = tracemalloc.get_traced_memory()[0] / index.size
        tracemalloc.stop()
        seconds = []
        for text, _ in (question for one in them for question in one.questions[:40]):
            started = time.perf_counter()
            rank(text, [index])
            seconds.append(time.perf_counter() - started)
        characters = sum(len(one.text) for chunk in chunks for one in chunk.passages) / index.size
        print(
            f"\n{name}: {index.size} messages of {characters:.0f} characters, {size:.0f} bytes each"
            f" ({size / characters:.2f} a character), built in {built:.2f} s; a question takes"
            f" {1000 * statistics.median(seconds):.1f} ms, at most {1000 * max(seconds):.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--split", default="dev", choices=("dev", "train"))
    parser.add_argument("--conversations", type=int, default=5, help="of each set")
    parser.add_argument("--tune", action="store_true", help="try other constants as well")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = os.environ.get("MEMORY_OPS_DIALOGUES", "")
    files = {name: Path(folder) / options.split / f"{name}.jsonl.gz" for name in SETS}
    found = {name: file for name, file in files.items() if folder and file.exists()}
    if not found:
        sys.exit("skipped: set MEMORY_OPS_DIALOGUES to a folder with dev/locomo.jsonl.gz, ...")
    sets = {name: read(file, options.conversations) for name, file in found.items()}
    print_ranking(sets, TUNED if options.tune else TUNED[:2])
    print_selection(sets, options.seed)
    print_costs(sets)


if __name__ == "__main__":
    main()
