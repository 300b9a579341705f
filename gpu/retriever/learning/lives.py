"""Made-up lives told in chats, with questions and the messages that answer them. Seeded; no model.

Two people write to each other over months, or one to an assistant: small talk, and between it facts
that change, come twice, or hold for the other person. What is told and asked in which words stands
in `grammars/`, one file a language. It is ours, so what is trained on it ships under our licence.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from retriever.judging.dialogues import Dialogue, Message, Question
from retriever.learning.grammar import (
    SLOT,
    Ask,
    Deck,
    Exchange,
    FactForm,
    Grammar,
    filled,
    languages,
    read_grammar,
)

SOURCE, LICENCE = "lives", "MIT"
MAIN_LANGUAGE = "english"
MAIN_SHARE = 0.75
TO_ASSISTANT = 0.3  # of the lives whose language has questions in the first person
ALSO_THE_OTHER = 0.5  # of the facts hold, differently, for the other person too
AGAIN = 0.3  # come twice for one person
LEADS, TAILS, SMALL = 0.4, 0.4, 0.5
_PERSON = {
    "N": ("{name}", "I"),
    "M": ("{name}", "me"),
    "Ns": ("{name}'s", "my"),
    "does": ("does", "do"),
    "Does": ("Does", "Do"),
    "is": ("is", "am"),
    "has": ("has", "have"),
    "Has": ("Has", "Have"),
    "was": ("was", "was"),
}


class LifeQuestion(Question):
    """`outdated` are messages with what held before: no evidence, and no mistake either."""

    outdated: tuple[str, ...] = ()


def lives(count: int, seed: int) -> Iterator[Dialogue]:
    """The same for the same seed, each independent of how many come before."""
    grammars = {language: read_grammar(language) for language in languages()}
    others = [language for language in grammars if language != MAIN_LANGUAGE]
    for number in range(count):
        rng = Random(f"{seed}/{number}")  # noqa: S311  repeatable, not secret
        main = rng.random() < MAIN_SHARE
        language = MAIN_LANGUAGE if main else rng.choice(others)
        yield Life(grammars[language], rng, f"life-{seed}-{number}").told()


@dataclass
class _Fact:
    """One instance: whose, with which words, and in which messages its pieces were told."""

    form: FactForm
    owner: int
    values: dict[str, str]
    spellings: dict[str, list[str]]
    told: list[tuple[frozenset[str], str]] = field(default_factory=list)
    has_later: bool = False

    def messages(self, pieces: frozenset[str]) -> tuple[str, ...]:
        return tuple(id for tells, id in self.told if tells & pieces)


class Life:
    def __init__(self, grammar: Grammar, rng: Random, id: str) -> None:
        self._grammar = grammar
        self._rng = rng
        self._id = id
        self._deck = Deck(grammar.words, rng)
        self._names = [self._deck.draw("names"), self._deck.draw("names")]
        english = grammar.language == MAIN_LANGUAGE
        self._to_assistant = english and rng.random() < TO_ASSISTANT
        self._talkative = [rng.uniform(0, 0.7), rng.uniform(0, 0.7)]
        self._messages: list[Message] = []
        self._day = date(2021, 1, 1) + timedelta(days=rng.randrange(1800))

    def told(self) -> Dialogue:
        facts = self._facts()
        sessions = self._agenda(facts)
        for session in sessions:
            self._day += timedelta(days=self._rng.randint(2, 30))
            self._hold(session)
        return Dialogue(
            id=self._id,
            source=SOURCE,
            licence=LICENCE,
            messages=tuple(self._messages),
            questions=tuple(self._questions(facts)),
        )

    def _facts(self) -> list[_Fact]:
        forms = [one for one in self._grammar.facts if self._to_assistant or one.who != "self"]
        chosen = self._rng.sample(forms, min(len(forms), self._rng.randint(7, 16)))
        facts = []
        for form in chosen:
            owner = 0 if self._to_assistant else self._rng.randrange(2)
            facts.append(self._fact(form, owner))
            if self._rng.random() < AGAIN:
                facts.append(self._fact(form, owner))
            if not self._to_assistant and self._rng.random() < ALSO_THE_OTHER:
                facts.append(self._fact(form, 1 - owner))
        return facts

    def _fact(self, form: FactForm, owner: int) -> _Fact:
        said = (line.text for exchange in (*form.say, *form.later) for line in exchange)
        asked = (ask.text for ask in (*form.ask, *form.ask_later))
        slots = {slot for text in (*said, *asked) for slot in SLOT.findall(text)}
        drawn = slots - _PERSON.keys() - {"you", "month", "persons"}
        if "persons" in slots:
            drawn.add("person")
        spellings = {slot: self._deck.draw(slot).split("|") for slot in sorted(drawn)}
        values = {slot: words[0] for slot, words in spellings.items()}
        if "persons" in slots:
            values["persons"] = f"{values['person']}'s"
        return _Fact(form, owner, values, spellings)

    def _agenda(self, facts: Sequence[_Fact]) -> list[list[tuple[_Fact, bool]]]:
        """Facts by session; what comes later comes in a later one."""
        sessions: list[list[tuple[_Fact, bool]]] = [[] for _ in range(self._rng.randint(3, 8))]
        for fact in facts:
            first = self._rng.randrange(len(sessions))
            sessions[first].append((fact, False))
            if fact.form.later and first + 1 < len(sessions):
                fact.has_later = True
                sessions[self._rng.randrange(first + 1, len(sessions))].append((fact, True))
        for session in sessions:
            self._rng.shuffle(session)
        return sessions

    def _hold(self, session: Sequence[tuple[_Fact, bool]]) -> None:
        first = self._rng.randrange(2) if not self._to_assistant else 0
        self._say(first, self._chat("open", first))
        self._say(1 - first, self._chat("opened", 1 - first))
        for fact, later in session:
            if self._rng.random() < SMALL:
                self._small_talk()
            exchanges = fact.form.later if later else fact.form.say
            self._exchange(self._rng.choice(exchanges), fact)
        self._let_answer(first)
        self._say(first, self._chat("close", first))
        self._say(1 - first, self._chat("closed", 1 - first))

    def _small_talk(self) -> None:
        owner = 0 if self._to_assistant else self._rng.randrange(2)
        self._let_answer(owner)
        for line in self._rng.choice(self._grammar.small):
            speaker = 1 - owner if line.by_partner else owner
            self._say(speaker, self._filled(line.text, {}, speaker))

    def _exchange(self, lines: Exchange, fact: _Fact) -> None:
        self._let_answer(fact.owner)
        for number, line in enumerate(lines):
            speaker = 1 - fact.owner if line.by_partner else fact.owner
            text = self._filled(line.text, fact.values, speaker)
            id = self._say(speaker, text if number else self._wrapped(text, speaker))
            if line.tells:
                fact.told.append((line.tells, id))
        if self._rng.random() < SMALL:
            self._say(1 - fact.owner, self._chat("reply", 1 - fact.owner))
            self._say(fact.owner, self._chat("answer", fact.owner))

    def _wrapped(self, text: str, speaker: int) -> str:
        lead = self._chat("lead", speaker) if self._rng.random() < LEADS else ""
        tail = self._chat("tail", speaker) if self._rng.random() < TAILS else ""
        goes_on = lead.endswith((", ", ": "))
        return lead + (text if goes_on else text[:1].upper() + text[1:]) + tail

    def _musing(self, text: str, speaker: int) -> str:
        """Some people say more than they have to."""
        while self._rng.random() < self._talkative[speaker]:
            text = f"{text} {self._rng.choice(self._grammar.chat['muse'])}"
        return text

    def _let_answer(self, speaker: int) -> None:
        """Nobody speaks twice in a row."""
        if self._messages and self._messages[-1].role == self._role(speaker):
            self._say(1 - speaker, self._chat("reply", 1 - speaker))

    def _chat(self, name: str, speaker: int) -> str:
        lines = self._grammar.chat[name]
        if self._to_assistant and speaker == 0:  # who does not call it by a name
            lines = [line for line in lines if "{you}" not in line]
        return self._filled(self._rng.choice(lines), {}, speaker)

    def _filled(self, template: str, values: Mapping[str, str], speaker: int) -> str:
        known = dict(values, you=self._names[1 - speaker], month=f"{self._day:%B}")
        for slot in SLOT.findall(template):
            if slot not in known:
                known[slot] = self._deck.draw(slot).split("|")[0]
        return filled(template, known)

    def _say(self, speaker: int, text: str) -> str:
        id = f"m{len(self._messages)}"
        name = None if self._to_assistant else self._names[speaker]
        day = self._day.isoformat()
        text = self._musing(text[:1].upper() + text[1:], speaker)
        role = self._role(speaker)
        self._messages.append(Message(id=id, role=role, speaker=name, at=day, text=text))
        return id

    def _role(self, speaker: int) -> str:
        return ("user", "assistant")[speaker]

    def _questions(self, facts: Sequence[_Fact]) -> Iterator[LifeQuestion]:
        same: defaultdict[tuple[str, int], list[_Fact]] = defaultdict(list)
        for fact in facts:
            same[fact.form.kind, fact.owner].append(fact)
        number = 0
        for fact in facts:
            twins = same[fact.form.kind, fact.owner]
            for ask in (*fact.form.ask, *(fact.form.ask_later if fact.has_later else ())):
                question = self._question(ask, fact, twins, f"{self._id}-q{number}")
                if question is not None:
                    number += 1
                    yield question

    def _question(
        self, ask: Ask, fact: _Fact, twins: Sequence[_Fact], id: str
    ) -> LifeQuestion | None:
        """None where it would be asked twice, or ask for one of two facts without saying which."""
        told_apart = bool(set(SLOT.findall(ask.text)) - _PERSON.keys())
        if (ask.all and twins[0] is not fact) or not (ask.all or told_apart or len(twins) == 1):
            return None
        about = twins if ask.all else [fact]
        evidence = tuple(id for one in about for id in one.messages(ask.needs))
        outdated = tuple(id for id in fact.messages(ask.outdated) if id not in evidence)
        text = self._asked(ask.text, fact, exactly=len(twins) > 1)
        kind = f"{fact.form.kind}{' (all)' if ask.all else ''}"
        return LifeQuestion(id=id, kind=kind, text=text, evidence=evidence, outdated=outdated)

    def _asked(self, template: str, fact: _Fact, *, exactly: bool) -> str:
        known = {slot: forms[int(self._to_assistant)] for slot, forms in _PERSON.items()}
        for slot, words in fact.spellings.items():
            known[slot] = words[0] if exactly else self._rng.choice(words)
        known["name"] = self._names[fact.owner]
        return filled(template, {**fact.values, **known})
