"""What `detect` found, told: a profile's note, the command that finds it again, a table."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from retriever.judging.choice import Candidate, Floor, Fusion, HeadFigures
from retriever.judging.trials import Sets

STRETCH_WINDOWS = 4
SHOWN_HEADS = 12


@dataclass(frozen=True)
class Found:
    """All that a profile is made of, and its table."""

    ranked: Sequence[HeadFigures]
    tried: Sequence[Candidate]
    finals: Sequence[tuple[Candidate, Fusion]]
    chosen: Candidate
    floor: Floor
    fusion: Fusion


def note(given: argparse.Namespace, sets: Sets, weights: str | None, found: Found) -> str:
    sources = [
        f"{name} ({', '.join(sorted({one.source + ', ' + one.licence for one in dialogues}))})"
        for name, dialogues in sets.items()
    ]
    barred = any(one.is_noncommercial for dialogues in sets.values() for one in dialogues)
    best, floor, fused = found.chosen.figures, found.floor, found.fusion
    orders = "; ".join(f"{name} {each.recall_10:.3f}" for name, each in fused.tried.items())
    depths = "; ".join(
        f"{one.deepest_layer} ({len(one.heads)} heads) {fusion.figures.recall_10:.3f}"
        for one, fusion in found.finals
    )
    sentences = [
        f"Found with: {command(given)} on {given.split}: {'; '.join(sources)}.",
        "NOT FOR COMMERCIAL USE, as the data it was chosen with." if barred else "",
        f"Weights: {weights}." if weights else "",
        f"Windows of one question, held-out half: R@5 {best.recall_5:.3f}, "
        f"R@10 {best.recall_10:.3f}, MRR {best.reciprocal_rank:.3f}."
        if found.ranked
        else "",
        f"Whole conversations of {STRETCH_WINDOWS} windows, R@10: {orders}.",
        f"Fused, by deepest layer: {depths}.",
        f"The floor keeps {floor.kept:.0%} of questions that are answered there and refuses "
        f"{floor.refused:.0%} of others.",
    ]
    return " ".join(filter(None, sentences))


def command(given: argparse.Namespace) -> str:
    """What finds this again; where data and results lie is the reader's own affair."""
    words = ["python", "-m", "retriever", "detect", "--model", given.model]
    for option in ("adapter", "revision", "user_opener", "assistant_opener"):
        if (value := getattr(given, option)) is not None:
            words += [f"--{option.replace('_', '-')}", value.replace("\n", "\\n")]
    if given.heads:
        words += ["--heads", *(f"{head.layer}-{head.head}" for head in given.heads)]
    words += ["--split", given.split, *(["--sets", *given.sets] if given.sets else [])]
    for option in ("questions", "window", "seed", "dtype"):
        words += [f"--{option}", str(getattr(given, option))]
    return shlex.join([*words, *(["--allow-noncommercial"] if given.allow_noncommercial else [])])


def table(found: Found) -> str:
    chosen = [*_heads(found), "", *_candidates(found), ""] if found.ranked else []
    return "\n".join([*chosen, *_orders(found)])


def _heads(found: Found) -> list[str]:
    rows = [
        f"{one.head.layer:>5}-{one.head.head:<4}{one.score:>8.3f}{one.alone.recall_5:>8.3f}"
        f"{one.alone.reciprocal_rank:>8.3f}{'  *' if one.head in found.chosen.heads else ''}"
        for one in found.ranked[:SHOWN_HEADS]
    ]
    return ["  layer-head  score     R@5     MRR", *rows]


def _candidates(found: Found) -> list[str]:
    rows = [
        f"{one.deepest_layer:>9}{len(one.heads):>7}{one.figures.recall_5:>8.3f}"
        f"{one.figures.recall_10:>8.3f}{one.figures.reciprocal_rank:>8.3f}"
        f"{'  *' if one is found.chosen else ''}"
        for one in found.tried
    ]
    return ["  deepest  heads     R@5    R@10     MRR", *rows]


def _orders(found: Found) -> list[str]:
    rows = [
        f"  {name:<20}{one.recall_5:>8.3f}{one.recall_10:>8.3f}{one.reciprocal_rank:>8.3f}"
        for name, one in found.fusion.tried.items()
    ]
    floor = found.floor
    last = f"  floor {floor.value:.4g}: keeps {floor.kept:.0%}, refuses {floor.refused:.0%}"
    finals = [
        f"  layers to {one.deepest_layer:<3} fused  {fused.figures.recall_5:>8.3f}"
        f"{fused.figures.recall_10:>8.3f}{fused.figures.reciprocal_rank:>8.3f}"
        f"{'  *' if one is found.chosen else ''}"
        for one, fused in found.finals
    ]
    return ["  whole conversations      R@5    R@10     MRR", *finals, *rows, last]
