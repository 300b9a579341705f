"""What each choice of selection is worth, offline: a row for each switched off, and the trade-off.

    MEMORY_OPS_DIALOGUES=FOLDER PYTHONPATH=functions python tests/benchmarks/selection.py

By set of development dialogues, as means over questions with evidence: recall of what is sent and
of its 5 and 10 best lines, the share of the tokens sent that are evidence, and the tokens sent,
each line's overhead included. The trade-off sets what relative scores and budgets keep beside plain
BM25 (no score from neighbours, messages by score until the budget is full): the tokens that it
would need for as much recall, between two of its budgets, and how many fewer ours are.

The rankings are lexical, so no model is needed; what is switched off is a constant of `select`.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

sys.path.insert(0, str(Path(__file__).parents[1]))  # where a script finds `benchmarks`
from benchmarks.lexical_recall import (
    BUDGET_TOKENS,
    OVERHEAD_TOKENS,
    SETS,
    Conversation,
    constants,
    read,
    share,
)
from gateway.retrieval import basket, contradictions, neighbours, offers
from gateway.retrieval.base import Scored
from gateway.retrieval.selection import select

NEVER = 10**9
PLAIN: Mapping[str, float] = {"floor": 0.0, "relative": 0.0, "cost_power": 0.0}
PLAIN_BUDGETS = (125, 250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
RELATIVES = (0.0, 0.3, 0.4, 0.5, 0.6)
BUDGETS = (500, 1000, 2000)

Asked = tuple[Sequence[Scored], frozenset[str]]


@dataclass(frozen=True)
class Choice:
    """A variant of selection: other constants, other arguments."""

    label: str
    constants: Sequence[tuple[ModuleType, str, Any]] = ()
    arguments: Mapping[str, float] = field(default_factory=dict)

    @contextmanager
    def made(self) -> Iterator[None]:
        kept = [(room, name, getattr(room, name)) for room, name, _ in self.constants]
        for room, name, value in self.constants:
            setattr(room, name, value)
        try:
            yield
        finally:
            for room, name, value in kept:
                setattr(room, name, value)


SINGLE = (offers, "WHOLE_SHARE", NEVER)
WITH_REPEATS = (basket, "NEAR", 2.0)
IN_ANY_ORDER = (contradictions, "MOST_COMPARED", 0)
WITHOUT_QUESTIONS = (neighbours, "QUESTION_SHARE", NEVER)
CHOICES = (
    Choice("as it is"),
    Choice("no questions of answers", (WITHOUT_QUESTIONS,)),
    Choice("near-duplicates kept", (WITH_REPEATS,)),
    Choice("no contradiction order", (IN_ANY_ORDER,)),
    Choice("cost power 0", arguments={"cost_power": 0.0}),
    Choice("cost power 0.4", arguments={"cost_power": 0.4}),
    Choice("cost power 1", arguments={"cost_power": 1.0}),
    Choice("single messages", (SINGLE,)),
    Choice("relative 0", arguments={"relative": 0.0}),
    Choice("relative 0.4", arguments={"relative": 0.4}),
    Choice("no floor", arguments={"floor": 0.0}),
)
PLAINLY = (SINGLE, WITH_REPEATS, IN_ANY_ORDER, WITHOUT_QUESTIONS)


@dataclass(frozen=True, slots=True)
class Figures:
    recall: float
    recall_of_5: float
    recall_of_10: float
    precision: float
    tokens: float
    milliseconds: float

    def __str__(self) -> str:
        return (
            f"recall {self.recall:.3f}  R@5 {self.recall_of_5:.3f}  R@10 {self.recall_of_10:.3f}"
            f"  evidence {self.precision:5.1%}  tokens {self.tokens:5.0f}"
            f"  {self.milliseconds:4.1f} ms"
        )


def figures(asked: Sequence[Asked], choice: Choice, budget: int = BUDGET_TOKENS) -> Figures:
    with choice.made():
        rows = [_row(ranked, evidence, choice.arguments, budget) for ranked, evidence in asked]
    return Figures(*map(statistics.fmean, zip(*rows, strict=True)))


def _row(
    ranked: Sequence[Scored], evidence: frozenset[str], arguments: Mapping[str, Any], budget: int
) -> tuple[float, ...]:
    started = time.perf_counter()
    lines = select(
        ranked, budget_tokens=budget, top_k=64, overhead_tokens=OVERHEAD_TOKENS, **arguments
    )
    milliseconds = 1000 * (time.perf_counter() - started)
    sizes = {one.passage.id: one.passage.tokens + OVERHEAD_TOKENS for one in lines}
    best = [one.passage.id for one in sorted(lines, key=lambda one: one.rank)]
    tokens = sum(sizes.values())
    useful = sum(size for id, size in sizes.items() if id in evidence)
    recalls = [share(best[:k], evidence) for k in (len(best), 5, 10)]
    return (*recalls, useful / tokens if tokens else 0.0, tokens, milliseconds)


def plain_tokens(recall: float, plain: Iterable[Figures]) -> float | None:
    """The tokens plain BM25 needs for `recall`; None where no budget tried is enough."""
    reached = sorted(plain, key=lambda one: one.tokens)
    for less, more in pairwise(reached):
        if less.recall <= recall <= more.recall:
            part = (recall - less.recall) / max(more.recall - less.recall, 1e-9)
            return less.tokens + part * (more.tokens - less.tokens)
    return None


def print_choices(name: str, asked: Sequence[Asked]) -> None:
    print(f"\n{name}: {len(asked)} questions, {BUDGET_TOKENS} tokens")
    for choice in tqdm(CHOICES, desc=name, leave=False):
        print(f"  {choice.label:<24} {figures(asked, choice)}")


def print_trade_off(name: str, ours: Sequence[Asked], plain: Sequence[Asked]) -> None:
    plainly = Choice("plain BM25", PLAINLY, PLAIN)
    curve = [figures(plain, plainly, budget) for budget in PLAIN_BUDGETS]
    print(f"\n{name}, against plain BM25 at the same recall")
    for budget, one in zip(PLAIN_BUDGETS, curve, strict=True):
        print(f"  plain, budget {budget:<5} recall {one.recall:.3f}  tokens {one.tokens:5.0f}")
    for budget in BUDGETS:
        for relative in RELATIVES:
            one = figures(ours, Choice("", arguments={"relative": relative}), budget)
            needed = plain_tokens(one.recall, curve)
            fewer = (
                "more than any tried"
                if needed is None
                else f"{needed:5.0f}, ours {_less(one, needed)}"
            )
            print(
                f"  ours, budget {budget:<5} relative {relative}  recall {one.recall:.3f}"
                f"  tokens {one.tokens:5.0f}  plain {fewer}"
            )


def _less(ours: Figures, needed: float) -> str:
    return f"{ours.tokens / needed - 1:+.0%}"


def asked_of(conversations: Sequence[Conversation]) -> list[Asked]:
    return [(one.rank(text), evidence) for one in conversations for text, evidence in one.questions]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--split", default="dev", choices=("dev", "train"))
    parser.add_argument("--conversations", type=int, default=5, help="of each set")
    options = parser.parse_args()
    folder = os.environ.get("MEMORY_OPS_DIALOGUES", "")
    files = {name: Path(folder) / options.split / f"{name}.jsonl.gz" for name in SETS}
    found = {name: file for name, file in files.items() if folder and file.is_file()}
    if not found:
        sys.exit("skipped: set MEMORY_OPS_DIALOGUES to a folder with dev/locomo.jsonl.gz, ...")
    for name, file in found.items():
        conversations = read(file, options.conversations)
        ours = asked_of(conversations)
        with constants({"BORROWED": 0.0}):
            plain = asked_of(conversations)
        print_choices(name, ours)
        print_trade_off(name, ours, plain)


if __name__ == "__main__":
    main()
