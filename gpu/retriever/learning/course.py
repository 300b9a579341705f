"""A course of training: lessons, exams between them, and the best of what was learnt kept.

It stops where held-out conversations say that it learns no more, and goes on where it was stopped.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from retriever.errors import Unusable
from retriever.judging.trials import Stretch
from retriever.learning.exam import Exam, Result
from retriever.learning.lessons import Lesson, Teacher
from retriever.learning.loss import Contrast
from retriever.learning.plan import Plan
from retriever.learning.progress import FILE, Progress, load_progress, save_progress
from retriever.learning.pupil import Pupil

CLIP = 1.0
SAVE_EVERY = 10  # steps

Report = Callable[[Progress], None]


class Course:
    """`parameters` are the adapter's, in the model that `pupil` and `exam` use."""

    def __init__(
        self,
        plan: Plan,
        pupil: Pupil,
        teacher: Teacher,
        contrast: Contrast,
        exam: Exam,
        stretches: Sequence[Stretch],
        parameters: Mapping[str, nn.Parameter],
        folder: Path,
    ) -> None:
        self._plan = plan
        self._pupil = pupil
        self._teacher = teacher
        self._contrast = contrast
        self._exam = exam
        self._stretches = stretches
        self._parameters = parameters
        self._folder = folder
        self._optimizer = torch.optim.AdamW(parameters.values(), lr=plan.rate, weight_decay=0.01)
        self.progress = Progress()
        self.best: dict[str, Tensor] = self._copies()

    def resume(self) -> None:
        """Go on where it was saved, if it was. Raises Unusable."""
        if (self._folder / FILE).exists():
            self.progress, self.best = load_progress(
                self._folder, self._plan.written(), self._parameters, self._optimizer
            )

    def save(self) -> None:
        save_progress(
            self._folder,
            self._plan.written(),
            self.progress,
            self._parameters,
            self.best,
            self._optimizer,
        )

    @property
    def is_over(self) -> bool:
        out_of_patience = self.progress.exams_since_best >= self._plan.patience
        return self.progress.step >= self._plan.steps or out_of_patience

    def run(self, after_step: Report, after_exam: Report) -> None:
        """To its end. Interrupted between two steps or within one, it has lost that step only.

        Raises Unusable: a loss that is no number; what was saved last is before it.
        """
        if not self.progress.exams:
            self._examine(after_exam)
        try:
            while not self.is_over:
                self._step()
                after_step(self.progress)
                if self.progress.step % self._plan.exam_every == 0:
                    self._examine(after_exam)
                elif self.progress.step % SAVE_EVERY == 0:
                    self.save()
        except KeyboardInterrupt:
            self.save()
            raise

    def _step(self) -> None:
        step = self.progress.step
        torch.manual_seed(hash((self._plan.seed, step)))  # dropout's, so that resuming is exact
        self._pupil.attend_to_lessons()
        self._optimizer.zero_grad(set_to_none=True)
        first = step * self._plan.batch
        losses = [self._learn(first + i) for i in range(self._plan.batch)]
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), CLIP)
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.rate_at(step)
        self._optimizer.step()
        self.progress.losses.append(sum(losses) / len(losses))
        self.progress.step += 1

    def _learn(self, number: int) -> float:
        lesson = self._teacher.lesson(number, self._plan.questions)
        loss = self._loss(lesson)
        if not bool(loss.isfinite()):
            loss_is = f"the loss of lesson {number} is {float(loss.detach())}"
            raise Unusable(f"{loss_is}: start again with a lower --rate")
        (loss / self._plan.batch).backward()  # type: ignore[no-untyped-call]  # untyped over there
        return float(loss.detach())

    def _loss(self, lesson: Lesson) -> Tensor:
        scores = self._pupil.scores(lesson.texts, [one.question for one in lesson.asked])
        losses = [
            self._contrast.loss(each, one.gold, one.ignored)
            for each, one in zip(scores, lesson.asked, strict=True)
        ]
        return torch.stack(losses).mean()

    def _examine(self, after_exam: Report) -> None:
        result = self._exam.take(self._stretches)
        if not self.progress.exams or result.mean > self.progress.best_result.mean:
            self.progress.best = self.progress.step
            self.best = self._copies()
        self.progress.exams.append((self.progress.step, result))
        self.save()
        after_exam(self.progress)

    def _copies(self) -> dict[str, Tensor]:
        return {name: one.detach().cpu().clone() for name, one in self._parameters.items()}


def latest(progress: Progress) -> Result:
    return progress.exams[-1][1]
