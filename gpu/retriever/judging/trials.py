"""What a model is tried on: windows made hard for one question, and stretches as they were said.

A trial holds a few messages that answer its question among others of the same conversation: half
of them those that share the most words with it, hard negatives, half drawn by chance. (Hard ones
alone turn the best heads down: what looks for the question's words is then always wrong.)
Knows how long a text is, no model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TypeVar

from retriever.judging.bm25 import Bm25
from retriever.judging.dialogues import Dialogue, Message, Question, wire_text

MOST_GOLD = 5  # a span of fifty turns would fill the window
LEAST_CHARACTERS = 60  # "Yeah ." answers nothing, though it stands in the span that does
NEAR = 2  # messages: what stands beside an answer often repeats it, and is no negative
LEAST_NEGATIVES = 5
LEAST_TOKENS = 24  # of room, below which no message is looked for
MOST_TRIED = 200  # negatives, until the window is full
MOST_BEFORE = 40  # messages of a stretch before the evidence that it is cut around

T = TypeVar("T")
Length = Callable[[str], int]  # a text's in tokens
Sets = Mapping[str, Sequence[Dialogue]]


@dataclass(frozen=True)
class Trial:
    """One window: texts in the conversation's order, `gold` are places in it."""

    set: str
    question: str
    texts: tuple[str, ...]
    gold: frozenset[int]


@dataclass(frozen=True)
class Stretch:
    """Consecutive messages with every question that some of them answer. `foreign` are questions
    about other conversations of the same set: nothing here answers them."""

    set: str
    messages: tuple[Message, ...]
    questions: tuple[Question, ...]
    foreign: tuple[str, ...]


class _Ground:
    """A conversation ready to be searched."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.texts = [wire_text(message) for message in dialogue.messages]
        self.telling = {
            i for i, one in enumerate(dialogue.messages) if len(one.text) >= LEAST_CHARACTERS
        }
        self.places = {message.id: i for i, message in enumerate(dialogue.messages)}
        self._shared = Bm25(self.texts)

    def hardest(self, question: str) -> list[int]:
        """Places of all messages, those that share the most words with the question first."""
        shared = self._shared.scores(question)
        return sorted(range(len(shared)), key=lambda i: (-shared[i], i))


class Sampler:
    """`rng` decides all that is left to chance: the same seed finds the same."""

    def __init__(self, sets: Sets, length: Length, rng: Random) -> None:
        self._sets = sets
        self._length = length
        self._rng = rng

    def trials(self, questions: int, tokens: int, longest: int) -> list[Trial]:
        """At most `questions` of them, sets in turn. `tokens` bound a window, `longest` a message
        in it; a question without evidence that fits is left out."""
        each = -(-questions // len(self._sets))
        made = (list(islice(self._trials(name, tokens, longest), each)) for name in self._sets)
        return _in_turn(list(made))[:questions]

    def stretches(self, stretches: int, tokens: int) -> list[Stretch]:
        """At most `stretches` of them, sets in turn, one of a conversation, each of at most
        `tokens`."""
        each = -(-stretches // len(self._sets))
        made = (list(islice(self._stretches(name, tokens), each)) for name in self._sets)
        return _in_turn(list(made))[:stretches]

    def _trials(self, name: str, tokens: int, longest: int) -> Iterator[Trial]:
        asked = [(one, q) for one in self._sets[name] for q in one.questions if q.evidence]
        grounds: dict[str, _Ground] = {}
        for dialogue, question in self._rng.sample(asked, len(asked)):
            if dialogue.id not in grounds:
                grounds[dialogue.id] = _Ground(dialogue)
            trial = self._trial(name, grounds[dialogue.id], question, tokens, longest)
            if trial is not None:
                yield trial

    def _trial(
        self, name: str, ground: _Ground, question: Question, tokens: int, longest: int
    ) -> Trial | None:
        evidence = {ground.places[id] for id in question.evidence if id in ground.places}
        telling = sorted(evidence & ground.telling)
        drawn = self._rng.sample(telling, len(telling))
        gold = self._fitting(ground, drawn, tokens // 2, longest)[:MOST_GOLD]
        room = tokens - sum(self._length(ground.texts[i]) for i in gold)
        near = {i + step for i in evidence for step in range(-NEAR, NEAR + 1)}
        wrong = ground.telling - near
        others = [i for i in ground.hardest(question.text) if i in wrong]
        mixed = _in_turn([others, self._rng.sample(others, len(others))])
        negatives = self._fitting(ground, list(dict.fromkeys(mixed))[:MOST_TRIED], room, longest)
        if not gold or len(negatives) < LEAST_NEGATIVES:
            return None
        order = sorted([*gold, *negatives])
        texts = tuple(ground.texts[i] for i in order)
        return Trial(name, question.text, texts, frozenset(order.index(i) for i in gold))

    def _fitting(
        self, ground: _Ground, places: Sequence[int], room: int, longest: int
    ) -> list[int]:
        """The first of them that fit into `room`, one after the other."""
        taken: list[int] = []
        for i in places:
            if room < LEAST_TOKENS:
                break
            size = self._length(ground.texts[i])
            if size <= min(longest, room):
                taken.append(i)
                room -= size
        return taken

    def _stretches(self, name: str, tokens: int) -> Iterator[Stretch]:
        dialogues = self._sets[name]
        pool = [q.text for one in dialogues for q in one.questions]
        for dialogue in self._rng.sample(dialogues, len(dialogues)):
            ids = {message.id for message in dialogue.messages}
            if any(ids & set(q.evidence) for q in dialogue.questions):
                yield self._stretch(name, dialogue, pool, tokens)

    def _stretch(self, name: str, dialogue: Dialogue, pool: Sequence[str], tokens: int) -> Stretch:
        """Begins a little before evidence drawn by chance."""
        ids = [message.id for message in dialogue.messages]
        cited = {id for q in dialogue.questions for id in q.evidence}
        drawn = self._rng.choice([i for i, id in enumerate(ids) if id in cited])
        start = max(0, drawn - self._rng.randrange(MOST_BEFORE))
        end = self._end(dialogue.messages, start, max(tokens, 1))
        if end <= drawn:
            start, end = drawn, self._end(dialogue.messages, drawn, tokens)
        inside = set(ids[start:end])
        questions = tuple(q for q in dialogue.questions if inside & set(q.evidence))
        own = {q.text for q in dialogue.questions}
        strangers = [text for text in pool if text not in own]
        foreign = self._rng.sample(strangers, min(len(questions), len(strangers)))
        return Stretch(name, dialogue.messages[start:end], questions, tuple(foreign))

    def _end(self, messages: Sequence[Message], start: int, tokens: int) -> int:
        """After the last message that fits; at least one is taken."""
        end = start
        while end < len(messages):
            tokens -= self._length(wire_text(messages[end]))
            if tokens < 0 and end > start:
                break
            end += 1
        return end


def _in_turn(parts: Sequence[Sequence[T]]) -> list[T]:
    """One of each part, then the next of each."""
    longest = max(map(len, parts), default=0)
    return [part[i] for i in range(longest) for part in parts if i < len(part)]
