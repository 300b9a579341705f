"""Compare ways to rank what was said, on labelled conversations that nothing was chosen with.

    1  read the sets of the split `dev`, sample conversations and questions
    2  let every method meet each conversation and rank it for each question
    3  add what the gateway really chose, as `make eval` recorded it
    4  figures by set and kind, with paired bootstrap intervals by conversation against BM25
    5  write records.jsonl, summary.json, bars.png and tables.md

What models said is in scores.jsonl as they say it: an evaluation that was interrupted goes on.

All but the seconds is decided by the data, the weights and the seed. Data whose licence forbids
commerce are asked too: nothing that ships is chosen here.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.tokens.rs_bpe import RsBpeTokenizer
from retriever.errors import Unusable
from retriever.evaluating.bars import draw_bars
from retriever.evaluating.book import ScoreBook
from retriever.evaluating.contender import Contender
from retriever.evaluating.contest import GATEWAY, contest
from retriever.evaluating.contrasts import Contrast, contrasts
from retriever.evaluating.heads import Book
from retriever.evaluating.markdown import tables
from retriever.evaluating.methods import (
    Method,
    Recency,
    Textbook,
    Words,
    WordsAndEmbedding,
    WordsSelected,
)
from retriever.evaluating.metrics import RESAMPLES
from retriever.evaluating.provenance import provenance
from retriever.evaluating.records import Record, read_gateway_records, write_records
from retriever.evaluating.sampling import askable, sampled
from retriever.evaluating.summary import BESIDE, Row, rows, table, unanswered
from retriever.judging.dialogues import SUFFIX, VARIABLE, Dialogue, read_sets
from retriever.models.embedded import EMBEDDED
from retriever.models.loading import load
from retriever.models.sentences import PACKAGE, is_installed
from retriever.settings import Settings

SPLIT: Final = "dev"
MUCH = 2  # times what is read for one question
QUICK = {"conversations": 2, "questions": 5}
FILES = ("records.jsonl", "summary.json", "bars.png", "tables.md")
SCORES = "scores.jsonl"


def main(argv: Sequence[str]) -> None:
    """Exits with a sentence when something is missing or does not fit."""
    given = _parser().parse_args(argv)
    try:
        evaluate(given, time.perf_counter)
    except Unusable as exc:
        sys.exit(f"retriever evaluate: {exc}")


def evaluate(given: argparse.Namespace, timer: Callable[[], float]) -> list[Row]:
    """Raises Unusable: no data, no such model, no such records, a place that is taken."""
    _refuse_what_is_there(given)
    whole = read_sets(given.data, SPLIT, given.sets, noncommercial=True)
    recorded = read_gateway_records(given.gateway_records) if given.gateway_records else {}
    models = _models(given)
    length = RsBpeTokenizer().count  # as the gateway counts

    def is_long(dialogue: Dialogue) -> bool:
        """Too long to stay read from one question to the next."""
        most: int = MUCH * given.max_tokens
        return sum(length(message.said) for message in dialogue.messages) > most

    sets = sampled(
        whole,
        conversations=QUICK["conversations"] if given.quick else given.conversations or None,
        questions=QUICK["questions"] if given.quick else given.questions or None,
        foreign=given.foreign,
        idle=given.idle,
        seed=given.seed,
        is_long=is_long,
        long_questions=given.long_questions,
    )
    book = ScoreBook(given.scores or given.out / SCORES)
    methods, missing = _methods(given, models, book, timer)
    say("\n".join(_sample_told(whole, sets, given.seed)))
    records = list(contest(sets, methods, length, recorded, timer))
    found = rows(records, given.seed)
    against = contrasts(records, given.seed)
    say("\n".join(_told(found, against, records, missing)))
    told = {
        **provenance(given.data / SPLIT / f"{name}{SUFFIX}" for name in sets),
        "models": {one.name: one.identity() for one in models},
        "missing": missing,
        "arguments": {name: _plain(value) for name, value in vars(given).items()},
        "resamples": RESAMPLES,
        "contrasts": [_without_nan(one.written()) for one in against],
    }
    _write(given.out, found, against, records, told)
    return found


def _models(given: argparse.Namespace) -> list[Contender]:
    """Raises Unusable: the model or the adapter has no profile, or cannot be loaded."""
    device = {"device": given.device, "dtype": given.dtype, "model_name": given.model}
    named = [("zero-shot", "")] + ([("adapted", given.adapter)] if given.adapter else [])
    models: list[Contender] = []
    for name, adapter in named:
        told = {"lora_id": adapter, "model_revision": given.revision or ""}
        settings = Settings().model_copy(
            update={**device, **told, "lora_revision": given.adapter_revision or ""}
        )
        models.append(Contender(name, *load(settings), settings))
    return models


def _methods(
    given: argparse.Namespace, models: Sequence[Contender], book: Book, timer: Callable[[], float]
) -> tuple[list[Method], dict[str, str]]:
    """And why others are missing."""
    methods: list[Method] = [Recency(), Textbook(), Words(), WordsSelected()]
    missing: dict[str, str] = {}
    if given.embedding and is_installed():
        methods.append(WordsAndEmbedding(models[-1].nearness(book, timer).meet))
    else:
        missing["lexical+embedding"] = (
            f"{PACKAGE} is not installed" if given.embedding else "give --embedding"
        )
    for model in models:
        ablations = given.ablations and model is models[-1]
        methods.append(model.method(given.max_tokens, book, timer, ablations=ablations))
        if model.profile.fusion_weight is None:
            missing[f"fused {model.name}"] = "its profile says that it ranks alone"
    if not given.adapter:
        missing["heads adapted"] = "give --adapter"
    if not given.gateway_records:
        missing[GATEWAY] = "give --gateway-records, which tests/benchmarks/recall.py writes"
    return methods, missing


def _sample_told(
    whole: Mapping[str, Sequence[Dialogue]], sets: Mapping[str, Sequence[Dialogue]], seed: int
) -> Iterator[str]:
    for name, dialogues in sets.items():
        asked = sum(bool(q.evidence) for one in dialogues for q in one.questions)
        others = sum(not q.evidence for one in dialogues for q in one.questions)
        there = sum(bool(q.evidence) for one in whole[name] for q in askable(one))
        yield (
            f"{name}: {len(dialogues)} of {len(whole[name])} conversations, {asked} of {there} "
            f"questions with evidence, {others} without; sampled with seed {seed}"
        )


def _told(
    found: Sequence[Row],
    against: Sequence[Contrast],
    records: Sequence[Record],
    missing: Mapping[str, str],
) -> Iterator[str]:
    yield from table(found)
    yield from ("", *(one.told() for one in against), "")
    yield from (f"missing: {name}: {why}" for name, why in missing.items())
    if chosen := [one for one in records if one.method == GATEWAY]:
        asked = sum(one.method == BESIDE for one in records)
        yield f"{GATEWAY}: recorded for {len(chosen)} of {asked} questions, and judged by those"
    without = ", ".join(f"{count} {kind}" for kind, count in unanswered(records).items())
    yield (
        f"intervals: {RESAMPLES} paired bootstrap resamples of conversations, then of questions "
        f"inside; gains are less {BESIDE}. AUC: top scores of answered questions against those "
        f"without evidence ({without or 'none'}); '-' where a method's score tells nothing. "
        "R@1000t, R@2000t and prec: the best that fit into so many tokens of a prompt; "
        "tokens: those that find what BM25 finds in 2000; none: of questions without evidence, "
        "those that nothing is ranked for. p50 and p95 leave out a conversation's first question, "
        "which reads it: that is 'first'."
    )


def _write(
    out: Path,
    found: Sequence[Row],
    against: Sequence[Contrast],
    records: Sequence[Record],
    told: Mapping[str, Any],
) -> None:
    """NaN, where there is no figure, is written as null."""
    lines, summary, picture, text = (out / name for name in FILES)
    write_records(lines, records)
    content = {**told, "rows": [_without_nan(one.written()) for one in found]}
    draft = summary.with_name(f".{summary.name}.part")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    draft.replace(summary)
    draw_bars(picture, found)
    text.write_text(tables(found, against), "utf-8")
    say(f"written: {lines}, {summary.name}, {picture.name} and {text.name}")


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and value != value else value


def _refuse_what_is_there(given: argparse.Namespace) -> None:
    """Asked before minutes of work, not after. Raises Unusable: taken, or not writable."""
    taken = [given.out / name for name in FILES if (given.out / name).exists()]
    if taken and not given.replace:
        raise Unusable(f"{taken[0]} is there: give another --out, or --replace")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Unusable(f"--out {given.out} cannot be made: {exc.strerror}") from exc
    if not os.access(given.out, os.W_OK):
        raise Unusable(f"--out {given.out} is not writable")


def _parser() -> argparse.ArgumentParser:
    default = os.environ.get(VARIABLE)
    parser = argparse.ArgumentParser(prog="retriever evaluate", description="Compare methods.")
    parser.add_argument("--model", default=EMBEDDED, help="a hub's id, a folder, the embedded name")
    parser.add_argument("--revision", help="the model's commit; default: the profile's")
    parser.add_argument("--adapter", help="a LoRA adapter: one that ships, a folder, a hub's id")
    parser.add_argument("--adapter-revision", help="the adapter's commit on the hub")
    parser.add_argument("--embedding", action="store_true", help=f"also with {PACKAGE}")
    parser.add_argument("--gateway-records", type=Path, help="what recall.py --records wrote")
    parser.add_argument(
        "--ablations", action="store_true", help="also the last model with one choice undone each"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        help=f"what models said, kept and read again; default: {SCORES} in --out",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default) if default else None,
        help=f"folder that holds dev/; default: {VARIABLE}",
    )
    parser.add_argument("--sets", nargs="+", default=[], help="default: all of dev")
    parser.add_argument(
        "--conversations", type=_count, default=5, help="of a set; 0: all; default: 5"
    )
    parser.add_argument(
        "--questions", type=_count, default=16, help="of a conversation; 0: all; default: 16"
    )
    parser.add_argument(
        "--foreign", type=_count, default=4, help="about another one, of a conversation; default: 4"
    )
    parser.add_argument(
        "--idle", type=_count, default=4, help="that need no memory, of a conversation; default: 4"
    )
    parser.add_argument(
        "--long-questions",
        type=_count,
        default=4,
        help=f"of one longer than {MUCH} times --max-tokens, unless all are asked; default: 4",
    )
    parser.add_argument("--quick", action="store_true", help="2 conversations, 5 questions of each")
    parser.add_argument("--max-tokens", type=_count, default=32_000, help="read for one question")
    parser.add_argument("--seed", type=_count, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of what is written")
    parser.add_argument("--replace", action="store_true", help="overwrite what is there")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a command talks to a terminal
