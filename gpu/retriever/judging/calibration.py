"""How a model with its chosen heads ranks conversations as they were said, window after window.

Through the reader that serves, so that a floor and a weight found here hold there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retriever.judging.bm25 import Bm25
from retriever.judging.choice import Ranking
from retriever.judging.dialogues import PART, Message, Question, wire_chunks, wire_text
from retriever.judging.trials import Stretch
from retriever.reading.reader import Reader
from retriever_contract.wire import Chunk

LENT = 0.4


@dataclass(frozen=True)
class Calibration:
    """`answered` and `foreign` are best scores: of questions that the stretch answers, and of
    questions about something else."""

    rankings: tuple[Ranking, ...]
    answered: tuple[float, ...]
    foreign: tuple[float, ...]


def calibrate(make_reader: Callable[[], Reader], stretches: Sequence[Stretch]) -> Calibration:
    """A reader for each stretch, so that nothing is kept of those before."""
    rankings: list[Ranking] = []
    foreign: list[float] = []
    for stretch in stretches:
        asked = [question.text for question in stretch.questions]
        scores = message_scores(make_reader(), stretch, [*asked, *stretch.foreign])
        rankings += _rankings(stretch, scores)
        foreign += [max(each) for each in scores[len(asked) :]]
    answered = tuple(max(one.model) for one in rankings)
    return Calibration(tuple(rankings), answered, tuple(foreign))


def message_scores(reader: Reader, stretch: Stretch, queries: Sequence[str]) -> list[list[float]]:
    """Each message's score, as good as its best part's, for each query."""
    parts: list[Chunk] = [part for one in stretch.messages for part in wire_chunks(one)]
    job = reader.begin("calibration", 0, [parts], queries)
    while not job.is_done:
        reader.step([job])
    return [_whole(stretch, parts, scores) for scores in job.scores()]


def _whole(stretch: Stretch, parts: Sequence[Chunk], scores: Sequence[float]) -> list[float]:
    best: dict[str, float] = {}
    for part, score in zip(parts, scores, strict=True):
        message = part.id.partition(PART)[0]
        best[message] = max(score, best.get(message, score))
    return [best[message.id] for message in stretch.messages]


def _rankings(stretch: Stretch, scores: Sequence[Sequence[float]]) -> list[Ranking]:
    """Of exchanges, which are what the gateway ranks: each as good as its best message."""
    shared = Bm25([wire_text(message) for message in stretch.messages])
    groups = exchanges(stretch.messages)
    return [
        Ranking(
            stretch.set,
            _holding(groups, stretch.messages, question),
            _best(groups, shared.scores(question.text)),
            _best(groups, of_model),
            _best(groups, with_neighbours(of_model)),
        )
        for question, of_model in zip(stretch.questions, scores, strict=False)
    ]


def exchanges(messages: Sequence[Message]) -> list[list[int]]:
    """Places of messages, replies with what they reply to."""
    groups: list[list[int]] = []
    for place, message in enumerate(messages):
        if groups and message.role != "user":
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _holding(
    groups: Sequence[Sequence[int]], messages: Sequence[Message], question: Question
) -> frozenset[int]:
    evidence = set(question.evidence)
    return frozenset(
        number
        for number, group in enumerate(groups)
        if any(messages[place].id in evidence for place in group)
    )


def with_neighbours(scores: Sequence[float]) -> list[float]:
    """Scores with what the messages right before and after lend, as the gateway fuses them."""
    lent = [0.0, *(LENT * max(0.0, score) for score in scores), 0.0]
    return [s + before + after for s, before, after in zip(scores, lent, lent[2:], strict=False)]


def _best(groups: Sequence[Sequence[int]], scores: Sequence[float]) -> list[float]:
    return [max(scores[place] for place in group) for group in groups]
