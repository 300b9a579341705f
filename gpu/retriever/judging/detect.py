"""Find the heads of a model, with its adapter, that look where the answer is; write its profile.

    1  read labelled conversations, part of them set aside
    2  score windows that are hard for one question each, every head of every layer by itself:
       half of a window's other messages share the question's words
    3  rank heads on one half of the windows, choose on the other how many of each depth
    4  rank whole conversations with those: how deep, the weight beside BM25, and the floor
    5  write NAME.json, a profile, and NAME.png, a picture of the heads

A head's score is QRHead's (https://arxiv.org/abs/2506.09944), less what it pays to the rest.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tqdm import tqdm  # type: ignore[import-untyped]  # it brings no types

from retriever.errors import Unusable
from retriever.judging.calibration import Calibration, calibrate
from retriever.judging.choice import (
    Candidate,
    Judged,
    candidates,
    cheapest,
    choose_floor,
    choose_fusion,
    finalists,
    rank_heads,
)
from retriever.judging.dialogues import VARIABLE, Dialogue, read_sets
from retriever.judging.headwise import all_heads, head_scores
from retriever.judging.picture import draw_heads
from retriever.judging.report import STRETCH_WINDOWS, Found, note, table
from retriever.judging.templates import given_openers, read_json
from retriever.judging.trials import Sampler, Sets, Stretch, Trial
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.models.embedded import embedded_repository, is_embedded
from retriever.models.loading import chosen_device, chosen_dtype
from retriever.models.repository import Repository, open_repository
from retriever.profile import FRAME_TOKENS, LENGTH_POWER, Head, Profile, read_head
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever.settings import Settings

SET_ASIDE = 0.25  # of each set's conversations: floor and weight are found on them
TRIAL_SHARE = 0.5  # of a window: twice as many questions tell more than longer ones
QUESTIONS_A_STRETCH = 10  # about, so many stretches are read for as many questions again
PASS_ROWS = 1024
CHUNK_TOKENS = 300
QUERY_TOKENS = 256
LEAST_QUESTIONS = 4  # two for either half

_NAME = re.compile(r"[\w][\w.-]*", re.ASCII)


def main(argv: Sequence[str]) -> None:
    """Exits with a sentence when something is missing or does not fit."""
    given = _parser().parse_args(argv)
    try:
        detect(given)
    except Unusable as exc:
        sys.exit(f"retriever detect: {exc}")


def detect(given: argparse.Namespace) -> Profile:
    """Raises Unusable: no data or none that may be used, no such model, a place that is taken."""
    name = given.name or _name(given.model, given.adapter)
    picture, written = _places(given.out, name, given.replace)
    sets = read_sets(given.data, given.split, given.sets, noncommercial=given.allow_noncommercial)
    checkpoint, repository = _load(given)
    draft = _draft(given, name, checkpoint, repository)
    rng = Random(given.seed)  # noqa: S311  a sample, no secret
    trained, aside = _set_aside(sets, rng)
    if given.heads:
        found = calibrate_heads(checkpoint, draft, aside, given.heads, given.questions, rng)
    else:
        found = find(checkpoint, draft, trained, aside, given.questions, rng)
    profile = draft.model_copy(
        update={
            "heads": found.chosen.heads,
            "floor": found.floor.value,
            "fusion_weight": found.fusion.weight,
            "note": note(given, sets, checkpoint.revision, found),
        }
    )
    _write(written, profile)
    say(table(found))
    if found.ranked:
        draw_heads(picture, f"{profile.name}: retrieval heads", found.ranked, profile.heads)
    say(f"written: {written}{f' and {picture.name}' if found.ranked else ''}")
    return profile


def find(
    checkpoint: Checkpoint, draft: Profile, trained: Sets, aside: Sets, questions: int, rng: Random
) -> Found:
    """Raises Unusable: too few questions have evidence that fits a window."""
    prompt = Prompt(checkpoint.tokenizer, draft, _bos(draft, checkpoint))
    trials, stretches = sample(trained, aside, draft, prompt, questions, rng)
    judged = judge(checkpoint, prompt, trials)
    half = len(judged) // 2
    ranked = rank_heads(judged[:half], draft.heads)
    tried = candidates([one.head for one in ranked], judged[half:], draft.heads)
    ranks = {
        one.heads: rank_stretches(checkpoint, prompt, one.heads, draft.window_tokens, stretches)
        for one in finalists(tried)
    }
    finals = [(one, choose_fusion(ranks[one.heads].rankings)) for one in finalists(tried)]
    chosen, fusion = cheapest(finals)
    scores = ranks[chosen.heads]
    return Found(
        ranked, tried, finals, chosen, choose_floor(scores.answered, scores.foreign), fusion
    )


def calibrate_heads(
    checkpoint: Checkpoint,
    draft: Profile,
    aside: Sets,
    heads: Sequence[Head],
    questions: int,
    rng: Random,
) -> Found:
    """Weight and floor of heads that are known, as an adapter's are that was trained with them.

    Raises Unusable: the model has no such head, or too few conversations are left.
    """
    if missing := [head for head in heads if head not in draft.heads]:
        raise Unusable(f"the model has no head {missing[0].layer}-{missing[0].head}")
    prompt = Prompt(checkpoint.tokenizer, draft, _bos(draft, checkpoint))
    stretches = whole_conversations(aside, draft, prompt, questions, rng)
    ranks = rank_stretches(checkpoint, prompt, heads, draft.window_tokens, stretches)
    fusion = choose_fusion(ranks.rankings)
    chosen = Candidate(tuple(heads), fusion.figures)
    floor = choose_floor(ranks.answered, ranks.foreign)
    return Found((), (), [(chosen, fusion)], chosen, floor, fusion)


def sample(
    trained: Sets, aside: Sets, draft: Profile, prompt: Prompt, questions: int, rng: Random
) -> tuple[list[Trial], list[Stretch]]:
    """All of it before the first is read: what is missing shows at once. Raises Unusable."""

    length = length_in(prompt)
    room = round(TRIAL_SHARE * draft.window_tokens) - len(prompt.opening)
    trials = Sampler(trained, length, rng).trials(questions, room, draft.chunk_tokens)
    if len(trials) < LEAST_QUESTIONS:
        least = f"{LEAST_QUESTIONS} are needed"
        raise Unusable(f"{len(trials)} questions have evidence that fits a window: {least}")
    return trials, whole_conversations(aside, draft, prompt, questions, rng)


def whole_conversations(
    aside: Sets, draft: Profile, prompt: Prompt, questions: int, rng: Random
) -> list[Stretch]:
    """Raises Unusable: too few are left."""
    stretches = Sampler(aside, length_in(prompt), rng).stretches(
        -(-questions // QUESTIONS_A_STRETCH), STRETCH_WINDOWS * draft.window_tokens
    )
    if not any(one.foreign for one in stretches):
        raise Unusable("too few conversations: none is left to find the floor on")
    return stretches


def length_in(prompt: Prompt) -> Callable[[str], int]:
    return lambda text: sum(map(len, prompt.chunk(99, text)))


def judge(checkpoint: Checkpoint, prompt: Prompt, trials: Sequence[Trial]) -> list[Judged]:
    """Every head's scores of every trial."""
    config = checkpoint.model.config
    decoder = Decoder(
        checkpoint.model, all_heads(config.num_hidden_layers, config.num_attention_heads)
    )
    return [
        Judged(one.set, one.gold, head_scores(decoder, prompt, one.texts, one.question, PASS_ROWS))
        for one in tqdm(trials, desc="heads", unit="question")
    ]


def rank_stretches(
    checkpoint: Checkpoint,
    prompt: Prompt,
    heads: Sequence[Head],
    window_tokens: int,
    stretches: Sequence[Stretch],
) -> Calibration:
    decoder = Decoder(checkpoint.model, heads)

    def reader() -> Reader:
        cache = WindowCache(0, float("inf"), time.monotonic)
        return Reader(
            decoder,
            prompt,
            cache,
            window_tokens=window_tokens,
            pass_rows=PASS_ROWS,
            length_power=LENGTH_POWER,
        )

    return calibrate(
        reader,
        tqdm(stretches, desc=f"whole conversations, layers to {max(heads).layer}", unit="stretch"),
    )


def _parser() -> argparse.ArgumentParser:
    default = os.environ.get(VARIABLE)
    parser = argparse.ArgumentParser(prog="retriever detect", description="Write a profile.")
    parser.add_argument("--model", required=True, help="a hub's id, a folder or the embedded name")
    parser.add_argument("--adapter", help="a LoRA adapter: one that ships, a folder, a hub's id")
    parser.add_argument("--revision", help="the model's commit on the hub")
    parser.add_argument("--adapter-revision", help="the adapter's commit on the hub")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default) if default else None,
        help=f"folder that holds train/ and dev/; default: {VARIABLE}",
    )
    parser.add_argument("--sets", nargs="+", default=[], help="default: all of the split")
    parser.add_argument("--split", choices=["train", "dev"], default="train")
    parser.add_argument("--allow-noncommercial", action="store_true")
    parser.add_argument("--questions", type=_at_least(LEAST_QUESTIONS), default=200)
    parser.add_argument("--window", type=_at_least(CHUNK_TOKENS * 2), default=2000)
    parser.add_argument(
        "--heads",
        nargs="+",
        type=_head,
        default=[],
        help="LAYER-HEAD, known already: weight and floor alone are found",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of what is written")
    parser.add_argument("--name", help="of the profile and its files")
    parser.add_argument("--replace", action="store_true", help="overwrite what is there")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--user-opener", help="default: from the chat template; \\n is a newline")
    parser.add_argument("--assistant-opener", help="as --user-opener")
    return parser


def _head(text: str) -> Head:
    try:
        return read_head(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")
        return int(text)

    return number


def _places(out: Path, name: str, replace: bool) -> tuple[Path, Path]:
    """Asked before hours of work, not after. Raises Unusable: taken, or not writable."""
    if not _NAME.fullmatch(name):
        raise Unusable(f"{name!r} is no name for files: letters, digits, dots and dashes")
    picture, written = out / f"{name}.png", out / f"{name}.json"
    if written.exists() and not replace:
        raise Unusable(f"{written} is there: give another --name or --out, or --replace")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Unusable(f"--out {out} cannot be made: {exc.strerror}") from exc
    if not os.access(out, os.W_OK):
        raise Unusable(f"--out {out} is not writable")
    return picture, written


def _name(model: str, adapter: str | None) -> str:
    """embedded:smollm2-135m-instruct and owner/Model-7B: what comes last, in small letters."""
    parts = [one.rstrip("/").replace(":", "/").rpartition("/")[2] for one in (model, adapter or "")]
    return "-with-".join(part.lower() for part in parts if part)


def _load(given: argparse.Namespace) -> tuple[Checkpoint, Repository]:
    """The whole model, every layer. Raises Unusable."""
    settings = Settings().model_copy(update={"device": given.device, "dtype": given.dtype})
    device = chosen_device(settings)
    if is_embedded(given.model):
        repository = embedded_repository(given.model, settings.retriever_cache)
    else:
        repository = open_repository(given.model, given.revision, "--revision")
    layers = read_json(repository, "config.json").get("num_hidden_layers")
    if not isinstance(layers, int):
        raise Unusable(f"{given.model}: config.json does not say how many layers there are")
    checkpoint = load_checkpoint(
        given.model,
        lora_id=given.adapter,
        revision=given.revision,
        lora_revision=given.adapter_revision,
        device=device,
        dtype=chosen_dtype(settings, device),
        deepest_layer=layers - 1,
        needed_tokens=given.window + QUERY_TOKENS + FRAME_TOKENS,
        cache=settings.retriever_cache,
    )
    return checkpoint, repository


def _draft(
    given: argparse.Namespace, name: str, checkpoint: Checkpoint, repository: Repository
) -> Profile:
    """The profile with every head. A BOS that the opener begins with is not put there again."""
    user, assistant = given_openers(given, checkpoint, repository)
    bos = checkpoint.tokenizer.bos_token
    config = checkpoint.model.config
    return Profile(
        name=name,
        model=given.model,
        revision=checkpoint.revision if repository.on_hub else None,
        adapter=given.adapter,
        heads=tuple(all_heads(config.num_hidden_layers, config.num_attention_heads)),
        window_tokens=given.window,
        chunk_tokens=CHUNK_TOKENS,
        query_tokens=QUERY_TOKENS,
        floor=0.0,
        user_opener=user,
        assistant_opener=assistant,
        bos=bos is not None and not user.startswith(bos),
    )


def _bos(draft: Profile, checkpoint: Checkpoint) -> int | None:
    bos: int | None = checkpoint.tokenizer.bos_token_id
    return bos if draft.bos else None


def _set_aside(sets: Sets, rng: Random) -> tuple[Sets, Sets]:
    """Conversations to find heads in, and others, two at least: a question about one is foreign to
    the other. Those of a set too small for that serve both."""
    trained: dict[str, Sequence[Dialogue]] = {}
    aside: dict[str, Sequence[Dialogue]] = {}
    for name, dialogues in sets.items():
        mixed = rng.sample(dialogues, len(dialogues))
        cut = max(2, round(SET_ASIDE * len(mixed)))
        aside[name], trained[name] = mixed[:cut], mixed[cut:] or mixed
    return trained, aside


def _write(path: Path, profile: Profile) -> None:
    """Whole or not at all; heads on one line."""
    content = profile.model_dump(mode="json")
    text = json.dumps(content | {"heads": "HEADS"}, indent=2, ensure_ascii=False)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text.replace('"HEADS"', json.dumps(content["heads"])) + "\n", "utf-8")
    draft.replace(path)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a command talks to a terminal
