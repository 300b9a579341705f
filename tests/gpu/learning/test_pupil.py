"""The pass with gradients scores as the reader does, and learns through what it scores."""

from typing import Any

import pytest
import torch

from retriever.learning.lora import add_lora
from retriever.learning.loss import Contrast
from retriever.learning.pupil import Pupil
from retriever.profile import Head
from retriever.reading.prompt import Prompt
from support.readers import HEADS, Form, desk
from support.tiny_models import FAMILIES, Family, tiny_model, tiny_tokenizer

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
QUERIES = ("where does the cat sleep?", "what was painted?", "")
TEXTS = (
    "user: the cat sleeps on the warm stove in winter",
    "",
    "user: we painted the kitchen last week, it took us three days and a lot of patience",
    "assistant: " + "a long answer about many things " * 60,
)


def prompt() -> Prompt:
    return Prompt(tiny_tokenizer(), Form(), bos=0)


def adapted(family: Family = "llama") -> tuple[Any, dict[str, Any]]:
    """A decoder with an adapter of random numbers, none of them zero."""
    decoder: Any = tiny_model(family, seed=3).model
    parameters = add_lora(decoder, 4, 8, 0.5, TARGETS, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        for parameter in parameters.values():
            torch.nn.init.normal_(parameter, std=0.2)
    return decoder, dict(parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_reader(family: Family) -> None:
    decoder, _ = adapted(family)
    wanted = desk(None, decoder_model=decoder).rank(TEXTS, *QUERIES)
    scores = Pupil(decoder, HEADS, prompt()).scores(TEXTS, QUERIES)
    assert torch.tensor(wanted).abs().max() > 1e-3
    torch.testing.assert_close(scores.detach(), torch.tensor(wanted).double(), atol=1e-5, rtol=0)


def test_a_question_scores_the_same_with_and_without_others() -> None:
    pupil = Pupil(adapted()[0].eval(), HEADS, prompt())
    together = pupil.scores(TEXTS, QUERIES)
    alone = torch.cat([pupil.scores(TEXTS, [query]) for query in QUERIES])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_all_that_bears_on_scores_gets_a_gradient_and_nothing_else() -> None:
    decoder, parameters = adapted()
    best: Any = Pupil(decoder, [Head(2, 1)], prompt()).scores(TEXTS, QUERIES).max()
    best.backward()
    moved = {name for name, one in parameters.items() if one.grad is not None}
    assert any(".layers.0.self_attn.v_proj." in name for name in moved)
    assert any(".layers.2.self_attn.q_proj." in name for name in moved)
    assert not any(".layers.3." in name or ".layers.2.self_attn.v" in name for name in moved)
    resting = [one for one in decoder.parameters() if not one.requires_grad]
    assert resting
    assert all(one.grad is None for one in resting)


def test_dropout_is_for_lessons_alone() -> None:
    decoder, _ = adapted()
    pupil = Pupil(decoder.eval(), HEADS, prompt())
    exact = pupil.scores(TEXTS, QUERIES)
    pupil.attend_to_lessons()
    assert not torch.allclose(pupil.scores(TEXTS, QUERIES), exact)
    desk(None, decoder_model=decoder)
    torch.testing.assert_close(pupil.scores(TEXTS, QUERIES), exact)


def test_a_fresh_adapter_changes_no_score() -> None:
    decoder: Any = tiny_model("llama", seed=3).model
    before = Pupil(decoder, HEADS, prompt()).scores(TEXTS, QUERIES)
    add_lora(decoder, 4, 8, 0.0, TARGETS, seed=1)
    torch.testing.assert_close(Pupil(decoder, HEADS, prompt()).scores(TEXTS, QUERIES), before)


def test_a_lesson_is_learnt_in_a_few_steps() -> None:
    decoder: Any = tiny_model("llama", seed=3).model
    parameters = add_lora(decoder, 4, 8, 0.0, TARGETS, seed=1)
    pupil, contrast = Pupil(decoder, HEADS, prompt()), Contrast(len(HEADS), 0.005, 0.005)
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.02)
    losses = []
    for _ in range(12):
        answered, foreign = pupil.scores(TEXTS[:3], QUERIES[1:])
        loss: Any = contrast.loss(answered, {2}, set()) + contrast.loss(foreign, set(), set())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
