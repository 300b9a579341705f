"""What makes a chosen message readable: the question that it answers. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.retrieval.offers import Line, Offer

QUESTION_SHARE = 16  # a question of at most this part of the budget is brought in
ANSWERERS = frozenset({"assistant"})


def questions(
    chosen: Iterable[Line], chunks: Iterable[Sequence[Line]], budget: int
) -> Iterator[Offer]:
    """The short message right before each chosen answer, that of the best answer first.

    They take what room is left: none keeps out a message that was found.
    """
    at = {(line.chunk, line.position): line for lines in chunks for line in lines}
    for line in sorted(chosen, key=lambda one: (-one.score, one.age)):
        before = at.get((line.chunk, line.position - 1))
        if before is None or line.passage.role not in ANSWERERS:
            continue
        if before.cost * QUESTION_SHARE <= budget:
            yield Offer([before], line.score)
