"""Train a LoRA so that the selected heads attend to what answers.

    1  read labelled conversations whose licence allows it, and make up lives; hold some of each out
    2  put an adapter into the model, as far as its deepest selected head
    3  learn from windows with questions, with an exam on what was held out now and then
    4  write the best adapter with its card and a picture of the course

A LoRA moves heads: run `detect --adapter` afterwards.
"""

import argparse
import hashlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from random import Random

import torch
from tqdm import tqdm  # type: ignore[import-untyped]  # it brings no types

from retriever.errors import Unusable
from retriever.judging.dialogues import SUFFIX, VARIABLE, Dialogue, read_sets
from retriever.learning.card import card, licence_of
from retriever.learning.course import Course, latest
from retriever.learning.curve import draw_curve
from retriever.learning.exam import PLACES, Exam, prepare
from retriever.learning.lessons import Sets, Teacher
from retriever.learning.lives import SOURCE, lives
from retriever.learning.lora import add_lora, save_adapter
from retriever.learning.loss import Contrast
from retriever.learning.plan import Plan
from retriever.learning.progress import FILE, Progress
from retriever.learning.pupil import Pupil
from retriever.models.checkpoint import Checkpoint, load_checkpoint
from retriever.models.embedded import EMBEDDED
from retriever.models.loading import chosen_device, chosen_dtype, refuse_what_does_not_fit
from retriever.profile import SHIPPED, Profile, find_profile, profile_folders
from retriever.reading.prompt import Prompt
from retriever.settings import Settings

LEAST_HELD_OUT = 2
PACKAGES = ("torch", "transformers", "peft", "safetensors", "tokenizers")


@dataclass(frozen=True)
class Ground:
    """What a course stands on."""

    profile: Profile
    checkpoint: Checkpoint
    learnt: Sets
    held_out: Sets
    licence: str


def main(argv: Sequence[str]) -> None:
    """Exits with a sentence when something is missing or does not fit, or when interrupted."""
    given = parser().parse_args(argv)
    try:
        train(given, command(argv))
    except Unusable as exc:
        sys.exit(f"retriever train: {exc}")
    except KeyboardInterrupt:
        sys.exit(f"\nretriever train: stopped; go on with the same options and --resume ({FILE})")


def train(given: argparse.Namespace, written_command: str) -> Progress:
    """Raises Unusable; KeyboardInterrupt once all is saved."""
    if given.threads:
        torch.set_num_threads(given.threads)
    _refuse_what_is_there(given)
    ground = ground_of(given)
    plan = plan_of(given, ground)
    course = course_of(plan, ground, given.out)
    if given.resume:
        course.resume()
    with terminated_as_interrupted():
        _attend(course, plan, lambda: _write(given.out, plan, ground, course, written_command))
    (given.out / FILE).unlink(missing_ok=True)
    say(f"written: {given.out}; now: python -m retriever detect --adapter {given.out}")
    return course.progress


def course_of(plan: Plan, ground: Ground, out: Path) -> Course:
    """With a fresh adapter in the model. Raises Unusable: the data or the model does not fit."""
    model, profile = ground.checkpoint.model, ground.profile
    prompt = Prompt(ground.checkpoint.tokenizer, profile, _bos(profile, ground.checkpoint))
    teacher = _teacher(plan, ground, prompt)
    tokens = plan.exam_windows * profile.window_tokens
    stretches = prepare(ground.held_out, plan.exam_stretches, tokens, prompt, plan.seed)
    if not stretches:
        raise Unusable("no held-out conversation has a question with evidence: raise --held-out")
    try:
        parameters = add_lora(model, plan.rank, plan.alpha, plan.dropout, plan.targets, plan.seed)
    except ValueError as exc:
        raise Unusable(f"no adapter goes into {plan.model}: {exc}") from exc
    return Course(
        plan,
        Pupil(model, profile.heads, prompt),
        teacher,
        Contrast(len(profile.heads), plan.temperature, plan.frame),
        Exam(model, profile.heads, prompt, profile.window_tokens),
        stretches,
        parameters,
        out,
    )


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """A job that is told to end saves what it has, as after Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def command(argv: Sequence[str]) -> str:
    """What trains this again; where data and results lie is the reader's own affair."""
    left_out = {"--data", "--out", "--profiles", "--threads", "--resume"}
    words = ["python", "-m", "retriever", "train"]
    skip = False
    for word in argv:
        option, has_value, _ = word.partition("=")
        if option in left_out:
            skip = not has_value and option != "--resume"
        elif skip:
            skip = False
        else:
            words.append(word)
    return shlex.join(words)


def _attend(course: Course, plan: Plan, write: Callable[[], None]) -> None:
    """A bar with loss and recall; what is best so far is written at every exam."""
    bar = tqdm(total=plan.steps, initial=course.progress.step, desc="training", unit="step")

    def told(progress: Progress) -> None:
        bar.set_postfix(_told(progress))

    def after_step(progress: Progress) -> None:
        bar.update(progress.step - bar.n)
        told(progress)

    def after_exam(progress: Progress) -> None:
        told(progress)
        sets = " ".join(f"{name} {one:.3f}" for name, one in latest(progress).of_sets().items())
        bar.write(f"step {progress.step}: recall at {PLACES} {latest(progress).mean:.3f} ({sets})")
        write()

    with bar:
        course.run(after_step, after_exam)


def _told(progress: Progress) -> dict[str, str]:
    recent = progress.losses[-20:]
    loss = {"loss": f"{sum(recent) / len(recent):.3f}"} if recent else {}
    recall = {"recall": f"{latest(progress).mean:.3f}"} if progress.exams else {}
    return loss | recall


def _write(out: Path, plan: Plan, ground: Ground, course: Course, written_command: str) -> None:
    save_adapter(
        out,
        course.best,
        base=plan.model,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.targets,
        layers=ground.profile.deepest_layer + 1,
    )
    draw_curve(out / "curve.png", out.name, course.progress)
    sources = {one.source for dialogues in ground.learnt.values() for one in dialogues}
    text = card(
        plan,
        course.progress,
        licence=ground.licence,
        base_licence=ground.checkpoint.licence,
        sources=sorted(sources),
        heads=[f"{head.layer}-{head.head}" for head in ground.profile.heads],
        command=written_command,
        versions={name: metadata.version(name) for name in PACKAGES},
        held_out={name: len(dialogues) for name, dialogues in ground.held_out.items()},
    )
    draft = out / ".README.md.part"
    draft.write_text(text, "utf-8")
    draft.replace(out / "README.md")


def parser() -> argparse.ArgumentParser:
    default = os.environ.get(VARIABLE)
    parser = argparse.ArgumentParser(prog="retriever train", description="Train an adapter.")
    parser.add_argument("--model", default=EMBEDDED, help="a hub's id, a folder, the embedded name")
    parser.add_argument("--revision", help="the model's commit; default: the profile's")
    parser.add_argument("--profile", help="its name; default: the model's own, without adapter")
    parser.add_argument("--profiles", type=Path, help="folder searched before those that ship")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default) if default else None,
        help=f"folder that holds train/; default: {VARIABLE}",
    )
    parser.add_argument("--sets", nargs="*", default=["beam", "qmsum"], help="none: lives alone")
    parser.add_argument("--allow-noncommercial", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="the adapter's folder")
    parser.add_argument("--resume", action="store_true", help="go on where it was stopped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lives", type=_count, default=600, help="how many are made up")
    parser.add_argument("--lives-share", type=_share, default=0.5, help="of the lessons")
    parser.add_argument("--held-out", type=_share, default=0.1, help="of each set")
    parser.add_argument("--steps", type=_count, default=400)
    parser.add_argument("--batch", type=_count, default=4, help="windows of a step")
    parser.add_argument("--questions", type=_count, default=4, help="answered ones of a window")
    parser.add_argument("--window", type=_count, default=1000, help="tokens")
    parser.add_argument("--rate", type=_positive, default=3e-4)
    parser.add_argument("--rank", type=_count, default=16)
    parser.add_argument("--alpha", type=_count, default=32)
    parser.add_argument("--dropout", type=_share, default=0.05)
    parser.add_argument(
        "--targets", nargs="+", default=["q_proj", "k_proj", "v_proj", "o_proj"], help="modules"
    )
    parser.add_argument("--temperature", type=_positive, default=0.01)
    parser.add_argument("--frame", type=_positive, default=0.01)
    parser.add_argument("--exam-every", type=_count, default=25, help="steps")
    parser.add_argument("--exam-stretches", type=_count, default=18)
    parser.add_argument("--exam-windows", type=_count, default=3, help="of a stretch")
    parser.add_argument("--patience", type=_count, default=5, help="exams without a better one")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=_count, help="of torch; default: as many as it likes")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from exc


def _refuse_what_is_there(given: argparse.Namespace) -> None:
    """Hours of work are not written over. Raises Unusable."""
    if (given.out / FILE).exists() and not given.resume:
        raise Unusable(f"{given.out} holds a course that was stopped: --resume, or another --out")
    if not (given.out / FILE).exists() and given.out.exists() and any(given.out.iterdir()):
        raise Unusable(f"{given.out} is not empty: give another --out")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Unusable(f"--out {given.out} cannot be made: {exc.strerror}") from exc


def ground_of(given: argparse.Namespace) -> Ground:
    """Raises Unusable: data, licences, profile or model; says which."""
    sets = _sets(given)
    everything = [one for dialogues in sets.values() for one in dialogues]
    try:
        licence = licence_of(everything)
    except ValueError as exc:
        raise Unusable(str(exc)) from exc
    learnt, held_out = _split(sets, given.held_out, given.seed)
    profile = _profile(given)
    settings = Settings().model_copy(update={"device": given.device, "dtype": given.dtype})
    device = chosen_device(settings)
    checkpoint = load_checkpoint(
        given.model,
        lora_id=None,
        revision=given.revision or profile.revision,
        lora_revision=None,
        device=device,
        dtype=chosen_dtype(settings, device),
        deepest_layer=profile.deepest_layer,
        needed_tokens=profile.needed_tokens,
        cache=settings.retriever_cache,
    )
    refuse_what_does_not_fit(profile, checkpoint)
    return Ground(profile, checkpoint, learnt, held_out, licence)


def _sets(given: argparse.Namespace) -> dict[str, list[Dialogue]]:
    """Of the split `train` alone. Raises Unusable."""
    read: dict[str, list[Dialogue]] = {}
    if given.sets:
        read = read_sets(given.data, "train", given.sets, noncommercial=given.allow_noncommercial)
    if given.lives_share > 0:
        read[SOURCE] = list(lives(given.lives, given.seed))
    if not read:
        raise Unusable("nothing to train on: neither --sets nor --lives-share")
    return read


def _split(sets: Sets, share: float, seed: int) -> tuple[Sets, Sets]:
    """Conversations to learn from, and others. Raises Unusable: a set too small for both."""
    learnt: dict[str, Sequence[Dialogue]] = {}
    held_out: dict[str, Sequence[Dialogue]] = {}
    for name, dialogues in sets.items():
        mixed = Random(f"{seed}/{name}").sample(dialogues, len(dialogues))  # noqa: S311  no secret
        cut = max(LEAST_HELD_OUT, round(share * len(mixed)))
        if len(mixed) <= cut:
            raise Unusable(f"{name} has {len(mixed)} conversations, too few to hold {cut} out")
        held_out[name], learnt[name] = mixed[:cut], mixed[cut:]
    return learnt, held_out


def _profile(given: argparse.Namespace) -> Profile:
    folders = profile_folders(given.profiles)
    if given.profile is None:
        return find_profile(given.model, None, folders)
    for folder in folders:
        path = folder / f"{given.profile}.json"
        if path.is_file():
            try:
                return Profile.model_validate_json(path.read_bytes())
            except ValueError as exc:
                raise Unusable(f"{path} is no profile") from exc
    raise Unusable(f"no profile is named {given.profile}; those that ship lie in {SHIPPED.name}/")


def plan_of(given: argparse.Namespace, ground: Ground) -> Plan:
    return Plan(
        model=given.model,
        revision=ground.checkpoint.revision,
        profile=ground.profile.digest,
        data=_digests(given),
        shares=_shares(given),
        lives=given.lives if SOURCE in ground.learnt else 0,
        seed=given.seed,
        steps=given.steps,
        batch=given.batch,
        questions=given.questions,
        window=given.window,
        rate=given.rate,
        rank=given.rank,
        alpha=given.alpha,
        dropout=given.dropout,
        targets=tuple(given.targets),
        temperature=given.temperature,
        frame=given.frame,
        exam_every=given.exam_every,
        exam_stretches=given.exam_stretches,
        exam_windows=given.exam_windows,
        patience=given.patience,
        dtype=str(ground.checkpoint.model.dtype).removeprefix("torch."),
    )


def _digests(given: argparse.Namespace) -> Mapping[str, str]:
    files = [given.data / "train" / f"{name}{SUFFIX}" for name in given.sets]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _shares(given: argparse.Namespace) -> dict[str, float]:
    if not given.sets:
        return {SOURCE: 1.0}
    rest = (1 - given.lives_share) / len(given.sets)
    own = {SOURCE: given.lives_share} if given.lives_share > 0 else {}
    return dict.fromkeys(given.sets, rest) | own


def _teacher(plan: Plan, ground: Ground, prompt: Prompt) -> Teacher:
    def length(text: str) -> int:
        return sum(map(len, prompt.chunk(99, text)))

    room = plan.window - len(prompt.opening)
    teacher = Teacher(ground.learnt, plan.shares, length, room, plan.seed)
    teacher.lesson(0, plan.questions)  # what does not fit shows before the first exam
    return teacher


def _bos(profile: Profile, checkpoint: Checkpoint) -> int | None:
    bos: int | None = checkpoint.tokenizer.bos_token_id
    return bos if profile.bos else None


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a command talks to a terminal
