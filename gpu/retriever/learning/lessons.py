"""What is trained on: one window of a labelled conversation, and questions of which some are
answered in it. Seeded; knows how long a text is, no model.

Half of the windows are messages as they were said, some left out; the others hold evidence among
messages that share its question's words (hard negatives, by BM25) and others drawn by chance,
sometimes in any order. So neither a place nor a shared word alone tells what is right. Every window
is also asked what it does not answer: about another part of the conversation, or another one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from retriever.errors import Unusable
from retriever.judging.bm25 import Bm25
from retriever.judging.dialogues import Dialogue, Message, Question, wire_text
from retriever.learning.lives import SOURCE, LifeQuestion

Length = Callable[[str], int]  # a text's in tokens
Sets = Mapping[str, Sequence[Dialogue]]

LEAST_CHARACTERS = 20  # "Yeah ." answers nothing, though it stands in the span that does
MOST_CHARACTERS = 1200  # of a message that answers nothing: enough to be told apart
MOST_EVIDENCE = 12  # a question about half of the conversation has no wrong answers
MOST_GOLD = 4
LEAST_WRONG = 3
AS_SAID, LEFT_OUT, SHUFFLED = 0.5, 0.2, 0.15
FOREIGN = 0.4  # of the questions that nothing here answers, about another conversation
DATED = 0.75  # of undated conversations get a date, as everything the gateway stores has one
TRIES = 50


@dataclass(frozen=True)
class Asked:
    """`gold` are places of texts that answer, none when nothing does; `ignored` of those that are
    neither right nor wrong."""

    question: str
    gold: frozenset[int]
    ignored: frozenset[int]


@dataclass(frozen=True)
class Lesson:
    set: str
    texts: tuple[str, ...]
    asked: tuple[Asked, ...]


def remembered(dialogue: Dialogue, rng: Random) -> Dialogue:
    """As the gateway keeps it: who speaks stands in the text, behind the role, and a day before."""
    day = (date(2022, 1, 1) + timedelta(days=rng.randrange(1800))).isoformat()
    undated = day if rng.random() < DATED else None
    messages = [
        one.model_copy(
            update={
                "speaker": None,
                "text": f"{one.speaker}: {one.text}" if one.speaker else one.text,
                "at": one.at or undated,
            }
        )
        for one in dialogue.messages
    ]
    return dialogue.model_copy(update={"messages": tuple(messages)})


class Ground:
    """A conversation ready to cut lessons from."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.texts = [wire_text(one) for one in dialogue.messages]
        self.places = {one.id: i for i, one in enumerate(dialogue.messages)}
        self.telling = {i for i, one in enumerate(dialogue.messages) if _tells(one)}
        self._ours = dialogue.source == SOURCE
        self._shared = Bm25(self.texts)
        self.answered = [one for one in dialogue.questions if self._answers(one)]

    def evidence(self, question: Question) -> set[int]:
        return {self.places[id] for id in question.evidence if id in self.places}

    def gold(self, question: Question) -> list[int]:
        return sorted(self.evidence(question) & self.telling)

    def ignored(self, question: Question) -> set[int]:
        """Evidence that tells too little, what once held, and, where people made the labels, what
        stands beside evidence: it often says the same again."""
        evidence = self.evidence(question)
        if isinstance(question, LifeQuestion):
            return {self.places[id] for id in question.outdated}
        beside = {i + step for i in evidence for step in (-1, 1)} if not self._ours else set()
        return (evidence | beside) - set(self.gold(question))

    def hardest(self, question: str) -> list[int]:
        shared = self._shared.scores(question)
        return sorted(range(len(shared)), key=lambda i: (-shared[i], i))

    def cut(self, place: int) -> str:
        return self.texts[place][:MOST_CHARACTERS]

    def _answers(self, question: Question) -> bool:
        return bool(self.gold(question))


class Teacher:
    """`shares` says how often each set's turn comes. A lesson depends on its number and the seed
    alone, so a course goes on where it stopped."""

    def __init__(
        self, sets: Sets, shares: Mapping[str, float], length: Length, tokens: int, seed: int
    ) -> None:
        """Raises Unusable: a set in which nothing is answered."""
        self._shares = shares
        self._length = length
        self._tokens = tokens
        self._seed = seed
        self._sets = {
            name: [one for one in dialogues if any(q.evidence for q in one.questions)]
            for name, dialogues in sets.items()
        }
        if empty := [name for name, dialogues in self._sets.items() if not dialogues]:
            raise Unusable(f"no question of {empty[0]} has evidence")
        self._grounds: dict[str, Ground] = {}

    def lesson(self, number: int, questions: int) -> Lesson:
        """At most `questions` that are answered, and one or two that are not.

        Raises Unusable: no window of this size holds evidence and anything beside it.
        """
        rng = Random(f"{self._seed}/{number}")  # noqa: S311  repeatable, not secret
        names = sorted(self._shares)
        for _ in range(TRIES):
            name = rng.choices(names, [self._shares[one] for one in names])[0]
            lesson = self._attempt(name, questions, rng)
            if lesson is not None:
                return lesson
        raise Unusable(f"windows of {self._tokens} tokens hold no evidence and other messages")

    def _attempt(self, name: str, questions: int, rng: Random) -> Lesson | None:
        ground = self._ground(rng.choice(self._sets[name]))
        if not ground.answered:
            return None
        anchor = rng.choice(ground.answered)
        as_said = rng.random() < AS_SAID
        places = self._stretch(ground, anchor, rng) if as_said else self._mixed(ground, anchor, rng)
        told = set(places)
        about = [
            one for one in ground.answered if one is not anchor and told & ground.evidence(one)
        ]
        some = rng.sample(about, min(questions - 1, len(about)))
        absent = self._absent(name, ground, told, rng)
        asked = [self._asked(ground, one, places) for one in (anchor, *some)]
        kept = [one for one in asked if one.gold and _wrong(one, places) >= LEAST_WRONG]
        if not kept:
            return None
        nothing = [Asked(text, frozenset(), frozenset()) for text in absent]
        texts = tuple(self._worded(ground, place, kept, i) for i, place in enumerate(places))
        return Lesson(name, texts, (*kept, *nothing))

    def _worded(self, ground: Ground, place: int, asked: Sequence[Asked], i: int) -> str:
        answers = any(i in one.gold for one in asked)
        return ground.texts[place] if answers else ground.cut(place)

    def _ground(self, dialogue: Dialogue) -> Ground:
        if dialogue.id not in self._grounds:
            rng = Random(f"{self._seed}/{dialogue.id}")  # noqa: S311  repeatable, not secret
            self._grounds[dialogue.id] = Ground(remembered(dialogue, rng))
        return self._grounds[dialogue.id]

    def _stretch(self, ground: Ground, anchor: Question, rng: Random) -> list[int]:
        """Messages as they were said around one that answers, in a window that begins anywhere."""
        middle = rng.choice(ground.gold(anchor))
        room = self._tokens - self._size(ground, middle, whole=True)
        before = rng.uniform(0, max(room, 0))
        left_out = rng.choice([0.0, LEFT_OUT])
        earlier = self._taken(ground, range(middle - 1, -1, -1), before, left_out, rng)
        after = room - sum(self._size(ground, place) for place in earlier)
        later = self._taken(ground, range(middle + 1, len(ground.texts)), after, left_out, rng)
        return [*reversed(earlier), middle, *later]

    def _taken(
        self, ground: Ground, places: Sequence[int], room: float, left_out: float, rng: Random
    ) -> list[int]:
        taken = []
        for place in places:
            if rng.random() < left_out:
                continue
            room -= self._size(ground, place)
            if room < 0:
                break
            taken.append(place)
        return taken

    def _mixed(self, ground: Ground, anchor: Question, rng: Random) -> list[int]:
        gold = ground.gold(anchor)
        taken = rng.sample(gold, min(MOST_GOLD, len(gold)))
        room = self._tokens - sum(self._size(ground, place, whole=True) for place in taken)
        hard = ground.hardest(anchor.text)[: 3 * MOST_EVIDENCE]
        for _ in range(2 * len(ground.texts)):
            place = hard.pop(0) if hard and rng.random() < 0.5 else rng.randrange(len(ground.texts))
            if place in taken:
                continue
            room -= self._size(ground, place)
            if room < 0:
                break
            taken.append(place)
        if rng.random() < SHUFFLED:
            return rng.sample(taken, len(taken))
        return sorted(taken)

    def _size(self, ground: Ground, place: int, *, whole: bool = False) -> int:
        return self._length(ground.texts[place] if whole else ground.cut(place))

    def _asked(self, ground: Ground, question: Question, places: Sequence[int]) -> Asked:
        gold, ignored = set(ground.gold(question)), ground.ignored(question)
        return Asked(
            question.text,
            frozenset(i for i, place in enumerate(places) if place in gold),
            frozenset(i for i, place in enumerate(places) if place in ignored),
        )

    def _absent(self, name: str, ground: Ground, told: set[int], rng: Random) -> list[str]:
        """Questions that nothing here answers; one with much evidence may be answered anywhere."""
        elsewhere = [
            one.text
            for one in ground.dialogue.questions
            if len(one.evidence) <= MOST_EVIDENCE
            and not told & (ground.evidence(one) | ground.ignored(one))
        ]
        other = rng.choice(self._sets[name])
        foreign = [one.text for one in other.questions if other.id != ground.dialogue.id]
        found = []
        for _ in range(rng.randint(1, 2)):
            pool = foreign if not elsewhere or (foreign and rng.random() < FOREIGN) else elsewhere
            if pool:
                found.append(rng.choice(pool))
        own = {one.text for one in ground.answered if told & ground.evidence(one)}
        return [text for text in dict.fromkeys(found) if text not in own]


def _tells(message: Message) -> bool:
    return len(message.text) >= LEAST_CHARACTERS


def _wrong(asked: Asked, places: Sequence[int]) -> int:
    return len(places) - len(asked.gold | asked.ignored)
