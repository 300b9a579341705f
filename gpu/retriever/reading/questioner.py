"""Asks the heads about windows that have been read, and makes chunk scores of what they pay."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from retriever.reading.decoder import Decoder
from retriever.reading.jobs import Job, Part
from retriever.reading.prompt import Prompt
from retriever.reading.runs import Question
from retriever.reading.scoring import best_of_each, piece_scores
from retriever.reading.window import Baseline


@dataclass(frozen=True, slots=True)
class Asked:
    job: Job
    part: Part
    question: Question


class Questioner:
    """`pass_rows` bound the rows of one pass. Scores of a window with less than `window_tokens` are
    scaled by its length's share to the `length_power`; 0 leaves them as published."""

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        *,
        window_tokens: int,
        pass_rows: int,
        length_power: float,
    ) -> None:
        self._decoder = decoder
        self._prompt = prompt
        self._window_tokens = window_tokens
        self._pass_rows = pass_rows
        self._length_power = length_power

    def rows(self, tails: Sequence[Sequence[int]]) -> int:
        """That a first question with these tails puts behind a window."""
        return len(self._prompt.stem) + len(self._prompt.null_tail) + sum(map(len, tails))

    def ready(self, jobs: Sequence[Job]) -> list[Asked]:
        """What can be asked in one pass: one question about each window."""
        rows = self._pass_rows
        asked: dict[int, Asked] = {}
        for job in jobs:
            for part in job.unasked:
                if id(part.window) in asked or rows <= 0:
                    continue
                question = self._question(job, part)
                asked[id(part.window)] = Asked(job, part, question)
                rows -= len(question.ids)
        return list(asked.values())

    def ask(self, asked: Sequence[Asked]) -> None:
        """One pass. Raises ArithmeticError, and whatever the model does."""
        self._decoder.run([one.question for one in asked])
        for one in asked:
            self._note(one)

    def _question(self, job: Job, part: Part) -> Question:
        """About the window's beginning where it has grown: nothing of that is kept."""
        kept = part.is_whole and part.window.baseline is not None
        tails = list(job.tails) if kept else [self._prompt.null_tail, *job.tails]
        return Question(part.window, self._prompt.stem, tails, kept, part.tokens)

    def _note(self, asked: Asked) -> None:
        job, part = asked.job, asked.part
        paid = list(_finite(asked.question.paid).double().cpu())
        kept = part.window.baseline if part.is_whole else None
        baseline = kept or Baseline(paid.pop(0), paid.pop(0))
        if part.is_whole:
            part.window.baseline = baseline
        if job.tails:
            part.scores = [
                self._scores(part, baseline, row, tail)
                for row, tail in zip(paid, map(len, job.tails), strict=True)
            ]

    def _scores(self, part: Part, baseline: Baseline, paid: Tensor, rows: int) -> list[float]:
        """Of the part's chunks, from what the query's tail of `rows` rows paid: means over all
        scored rows, the stem's among them, less the same of the null query."""
        stem, null = len(self._prompt.stem), len(self._prompt.null_tail)
        of_query = (baseline.stem + paid) / (stem + rows)
        of_null = (baseline.stem + baseline.null) / (stem + null)
        pieces = piece_scores(of_query - of_null, part.ends) * self._scale(part)
        return best_of_each(pieces, part.window.pieces[: part.chunks])

    def _scale(self, part: Part) -> float:
        """Attention is shared among what is there: the less there is, the more each gets."""
        full = self._window_tokens - len(self._prompt.opening)
        share = (part.ends[-1] - part.ends[0]) / max(1, full)
        return float(min(1.0, share) ** self._length_power)


def _finite(paid: Tensor) -> Tensor:
    """Raises ArithmeticError: a type too narrow for this model overflowed somewhere."""
    if not bool(paid.isfinite().all()):
        raise ArithmeticError("attention is not finite")
    return paid
