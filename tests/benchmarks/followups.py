"""Questions that lean on what was said before, offline: what asking them in context brings.

    MEMORY_OPS_DIALOGUES=FOLDER PYTHONPATH=functions python tests/benchmarks/followups.py

Questions with evidence are made to lean on a turn before them: a speaker's name becomes a pronoun
and stands in another question, or the thing at a question's end becomes "it" and stands in a
remark. Asked are the question alone, in context as the gateway makes it, always behind the last
turn, and as it was before. Every question as it was is also asked behind an unrelated turn: none
may change. The dialogues are LoCoMo's development split, skipped when absent, and made-up lives.
"""

import argparse
import gzip
import json
import os
import re
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types

sys.path.insert(0, str(Path(__file__).parents[1]))  # where a script finds `benchmarks`
sys.path.insert(0, str(Path(__file__).parents[2] / "gpu"))  # ahead of this folder's `retriever.py`
from benchmarks.lexical_recall import UNASKED, Conversation, best_messages, selected, share
from gateway.chat.asking import in_context, leaning
from gateway.retrieval.base import FLOOR
from gateway.tokens.rs_bpe import RsBpeTokenizer
from retriever.learning.lives import lives

LENGTHS = (5, 10, 20)
REMARKS = (
    ("Do you remember {thing}?", "Yes, you told me. What would you like to know?"),
    (
        "Last night I could not sleep and thought about {thing}. Work was busy too.",
        "That sounds tiring. I hope that today is a better day for you.",
    ),
    ("I was just telling a friend about {thing}.", "How nice! How did they like the story?"),
)
UNRELATED = (
    "My train was late again and I ran through the rain with Frederick.",
    "Oh no! I hope that it was not too bad and that you could change your clothes.",
)
LAST_THING = re.compile(
    r"\b(?:the|a|an|her|his|their|my|your) (?:[\w'-]+ ){0,3}[\w'-]+(?=\?$)", re.I
)

Turn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question that leans on `before`, and what it was made of."""

    memory: Conversation
    text: str
    before: Turn
    original: str
    evidence: frozenset[str]


def by_name(
    memory: Conversation, rows: Sequence[Mapping[str, Any]], rng: Random
) -> Iterator[FollowUp]:
    for row in rows:
        named = [one for one in memory.speakers if one in row["text"]]
        others = [one for one in rows if one is not row and named and named[0] in one["text"]]
        if len(named) == 1 and others:
            other = rng.choice(others)
            before = (other["text"], str(other.get("answer") or "I do not know."))
            text = row["text"].replace(f"{named[0]}'s", "her").replace(named[0], "she")
            yield FollowUp(memory, text, before, row["text"], frozenset(row["evidence"]))


def by_thing(
    memory: Conversation, rows: Sequence[Mapping[str, Any]], rng: Random
) -> Iterator[FollowUp]:
    for row in rows:
        if found := LAST_THING.search(row["text"]):
            said, answered = rng.choice(REMARKS)
            before = (said.format(thing=found[0]), answered)
            text = row["text"].replace(found[0], "it")
            yield FollowUp(memory, text, before, row["text"], frozenset(row["evidence"]))


def answerable(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in row["questions"] if one["kind"] not in UNASKED and one["evidence"]]


def whole(one: FollowUp) -> str:
    return "\n".join([*one.before, one.text])


def print_follow_ups(name: str, asked: Sequence[FollowUp]) -> None:
    if not asked:
        return
    found = statistics.fmean(leaning(one.text) is not None for one in asked)
    print(f"\n{name}: {len(asked)} questions, {found:.0%} seen to lean on the turn before")
    ways = {
        "alone": [one.text for one in asked],
        "in context, as we do": [in_context(one.text, *one.before) for one in asked],
        "always behind the turn": [whole(one) for one in asked],
        "as it was before": [one.original for one in asked],
    }
    for way, texts in ways.items():
        print(f"  {way:<24} {figures(asked, texts)}")


def figures(asked: Sequence[FollowUp], texts: Iterable[str]) -> str:
    recalls = []
    for one, text in tqdm(zip(asked, texts, strict=True), total=len(asked), leave=False):
        ranked = one.memory.rank(text)
        found = best_messages(ranked)
        lines, _ = selected(ranked, FLOOR)
        recalls.append(
            [*(share(found[:k], one.evidence) for k in LENGTHS), share(lines, one.evidence)]
        )
    names = [*(f"R@{k}" for k in LENGTHS), "R@budget"]
    means = map(statistics.fmean, zip(*recalls, strict=True))
    return "  ".join(f"{name} {mean:.3f}" for name, mean in zip(names, means, strict=True))


def print_unchanged(name: str, questions: Sequence[str]) -> None:
    changed = [one for one in questions if in_context(one, *UNRELATED) != one]
    print(
        f"{name}: {len(questions)} questions as they were, {len(changed)} changed by a turn before"
    )


def from_locomo(file: Path) -> list[Mapping[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--lives", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sets: dict[str, Sequence[Mapping[str, Any]]] = {
        "lives": [one.model_dump() for one in lives(options.lives, options.seed)]
    }
    file = Path(os.environ.get("MEMORY_OPS_DIALOGUES", "")) / "dev" / "locomo.jsonl.gz"
    if file.is_file():
        sets["locomo"] = from_locomo(file)
    else:
        print("locomo skipped: set MEMORY_OPS_DIALOGUES to a folder with dev/locomo.jsonl.gz")
    tokenizer = RsBpeTokenizer()
    for name, rows in sets.items():
        randomness = Random(options.seed)
        memories = [(Conversation(row, tokenizer), answerable(row)) for row in rows]
        print_unchanged(name, [one["text"] for row in rows for one in row["questions"]])
        for label, make in (("names", by_name), ("things", by_thing)):
            made = [one for memory, asked in memories for one in make(memory, asked, randomness)]
            print_follow_ups(f"{name}, {label}", made)


if __name__ == "__main__":
    main()
