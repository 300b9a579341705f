"""An adapter's card: its data and their licences, how it was trained, how well it does. Pure."""

import json
from collections.abc import Mapping, Sequence

from retriever.judging.dialogues import Dialogue
from retriever.learning.exam import PLACES, Interval, gain, interval
from retriever.learning.plan import Plan
from retriever.learning.progress import Progress

SHARE_ALIKE = "cc-by-sa-4.0"
OWN = "mit"
ATTRIBUTIONS = {
    "BEAM": "BEAM, by Mohammad Tavakoli and others, https://github.com/mohammadtavakoli78/BEAM, "
    "CC BY-SA 4.0: its chats and questions were used for training, and this adapter is under the "
    "same licence",
    "QMSum": "QMSum, by Ming Zhong and others, https://github.com/Yale-LILY/QMSum, MIT",
    "lives": "made-up lives by this repository's own generator (`retriever.learning.lives`), MIT",
}


def licence_of(dialogues: Sequence[Dialogue]) -> str:
    """Of an adapter trained on them: share-alike passes on, what forbids business stays so.

    Raises ValueError: a licence that nothing is known of.
    """
    found = {one.licence for one in dialogues}
    if any(one.is_noncommercial for one in dialogues):
        return "cc-by-nc-4.0"
    if unknown := sorted(one for one in found if one not in {"MIT", "CC BY 4.0", "CC BY-SA 4.0"}):
        raise ValueError(f"what an adapter trained on {unknown[0]} may be licensed as is not known")
    return SHARE_ALIKE if "CC BY-SA 4.0" in found else OWN


def card(
    plan: Plan,
    progress: Progress,
    *,
    licence: str,
    base_licence: str,
    sources: Sequence[str],
    heads: Sequence[str],
    command: str,
    versions: Mapping[str, str],
    held_out: Mapping[str, int],
) -> str:
    """Markdown with the front matter that hubs and `repository.py` read."""
    parts = [
        f"---\nlicense: {licence}\nbase_model: {json.dumps(plan.model)}\nlibrary_name: peft\n---",
        f"# A LoRA that turns {plan.model} into a better retriever of what was said",
        _purpose(plan, base_licence),
        "## Figures\n\n" + _figures(plan, progress, held_out),
        "## Data\n\n" + "\n".join(f"- {ATTRIBUTIONS.get(one, one)}." for one in sources),
        "Training files, by SHA-256:\n\n"
        + "\n".join(f"- `{name}`: `{digest}`" for name, digest in sorted(plan.data.items())),
        "## How\n\n" + _how(plan, progress, heads),
        f"```\n{command}\n```",
        "Versions: " + ", ".join(f"{name} {one}" for name, one in versions.items()) + ".",
        "## What it is bad at\n\n" + _weaknesses(progress),
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(plan: Plan, base_licence: str) -> str:
    return (
        "Attention heads of the base model score remembered messages for a question (QRHead, "
        "https://arxiv.org/abs/2506.09944; QRRanker, https://arxiv.org/abs/2602.12192). This "
        "adapter was trained so that they attend to the messages that answer. It writes no text. "
        f"The base model is under {base_licence or 'a licence of its own'}. A LoRA moves heads: "
        "use it with a profile that was found with it (`python -m retriever detect --adapter`)."
    )


def _figures(plan: Plan, progress: Progress, held_out: Mapping[str, int]) -> str:
    before, after = progress.before, progress.best_result
    moved = gain(before, after, plan.seed)
    rows = [
        f"| {name} | {held_out.get(name, 0)} | {len(before.recalls[name])} "
        f"| {one:.3f} | {after.of_sets()[name]:.3f} |"
        for name, one in before.of_sets().items()
    ]
    counted = sum(map(len, before.recalls.values()))
    mean = f"| mean | {sum(held_out.values())} | {counted} | {before.mean:.3f} | {after.mean:.3f} |"
    return "\n".join(
        [
            f"Recall at {PLACES} on conversations held out of the training data, the model alone, "
            f"in stretches of {plan.exam_windows} windows, with the heads it was trained with. "
            "They chose the step that was kept, so they flatter it a little.",
            "",
            "| set | conversations | questions | base | with the adapter |",
            "|---|---|---|---|---|",
            *rows,
            mean,
            "",
            f"95 % intervals: base {_worded(interval(before, plan.seed))}, with the adapter "
            f"{_worded(interval(after, plan.seed))}, gain {_worded(moved)}.",
        ]
    )


def _how(plan: Plan, progress: Progress, heads: Sequence[str]) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(plan.shares.items()))
    return (
        f"LoRA of rank {plan.rank} (alpha {plan.alpha}, dropout {plan.dropout}) on "
        f"{', '.join(plan.targets)} of the layers up to the deepest head; listwise contrastive "
        f"loss on the summed attention of the heads {' '.join(heads)}, temperature "
        f"{plan.temperature}, the frame at {plan.frame}. {progress.best} of {plan.steps} planned "
        f"steps were kept, {progress.step} made, of {plan.batch} windows of {plan.window} tokens "
        f"each ({shares}; {plan.lives} lives), seed {plan.seed}, learning rate {plan.rate}."
    )


def _weaknesses(progress: Progress) -> str:
    before, after = progress.before.of_sets(), progress.best_result.of_sets()
    worse = [name for name in before if after[name] < before[name]]
    lines = [
        "- Made-up lives come from templates: their figures are higher than those of real chats.",
        "- Languages other than English, German, Spanish and French were not trained at all.",
        "- Time is not understood: of a fact that changed, the old is found like the new one.",
        "- Questions about a whole conversation (summaries, orders of events) have more evidence "
        "than a few places hold.",
    ]
    lines += [f"- {name}: worse than the base model there." for name in worse]
    return "\n".join(lines)


def _worded(one: Interval) -> str:
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
