"""A labelled conversation as the gateway would remember it, and the gateway's own ranking of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from gateway.retrieval.base import LINE_OVERHEAD_TOKENS, Chunk, Passage, Scored
from gateway.retrieval.lexical import LexicalIndex, rank
from gateway.retrieval.windows import message_scores
from retriever.judging.dialogues import Dialogue, Message, moment

Length = Callable[[str], int]  # a text's in tokens
Scores = Mapping[str, float]  # by message


class Ground:
    """`tokens` are what each message costs in a prompt, quoted as the gateway quotes it."""

    def __init__(self, dialogue: Dialogue, length: Length) -> None:
        self.dialogue = dialogue
        passages = list(_remembered(dialogue.messages, length))
        self.texts = [one.text for one in passages]
        self.tokens = {one.id: one.tokens + LINE_OVERHEAD_TOKENS for one in passages}
        self.index = LexicalIndex(_exchanges(passages))
        self._places = {one.id: place for place, one in enumerate(passages)}

    def lexical(self, query: str) -> list[Scored]:
        """As the gateway ranks by words alone."""
        return rank(query, [self.index])

    def order(self, scores: Scores) -> list[str]:
        """Ids, the best first, of equal ones the latest."""
        return sorted(scores, key=lambda one: (scores[one], self._places[one]), reverse=True)


def of_messages(scored: Iterable[Scored]) -> dict[str, float]:
    """Those that count for anything."""
    return {id: score for id, score in message_scores(scored).items() if score > 0}


def _remembered(messages: Sequence[Message], length: Length) -> Iterator[Passage]:
    """A day is a session; the sets date days, so a message's place keeps their order."""
    for place, one in enumerate(messages):
        at, text = moment(one.at) if one.at else None, one.said
        when = (0.0 if at is None else at.timestamp()) + place
        session = one.at or "undated"
        yield Passage(one.id, session, one.role, text, length(text), when, dated=at is not None)


def _exchanges(passages: Sequence[Passage]) -> Iterator[Chunk]:
    """A user message with its reply, never across sessions."""
    run: list[Passage] = []
    for one in passages:
        if run and (one.role == "user" or run[-1].session != one.session):
            yield Chunk(tuple(run))
            run = []
        run.append(one)
    yield Chunk(tuple(run))
