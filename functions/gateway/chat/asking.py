"""What the memory is asked: the question, behind what it needs of the turn before. Pure.

No model: pronouns and demonstratives with nothing in the message that they could stand for, "what
about ...", and questions without content. A message that tells all by itself is asked as it is; so
is one that may.
"""

import re
from collections.abc import Sequence
from typing import Literal

from gateway.retrieval.terms import terms

MAX_CHARACTERS = 300  # a longer message tells what it is about
FEW_WORDS = 6  # of a message that goes on with "and ..."
SAID_CHARACTERS = 160  # of each message before
MOST_NAMES = 2  # of people, in one message: the first ones
MOST_THINGS = 3  # in one message: the last ones
MOST_ANSWERED = 1  # of either, in the answer
MOST_THING_WORDS = 4


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


Leaning = Literal["points", "points at someone", "goes on"]

_WORD = re.compile(r"[^\W_]+|[?!.,;:…]")
_AUXILIARIES = _set_of(
    "is are was were be been do does did has have had will would can could should shall may might"
    " s d ll isn wasn aren weren don doesn didn hasn haven hadn won wouldn couldn shouldn"
)
_PREPOSITIONS = _set_of(
    "about after against again along around at behind beside during into like near off onto out"
    " over since through to today toward under until up with without yesterday"
)
_BEFORE_POINTING = _set_of("are did does is s was were")
_SINCE = _set_of("before by since until")
_ARTICLES = _set_of(
    "a an another any each every its my no our some the their which your"
    " das dem den der des die ein eine einem einen einer mein meine meinem meinen meiner"
    " el la las los mi mis un una le les ma mes mon une gli il lo mia mio uma"
)
_CLAUSES = _set_of(
    "and because believe but explain feel feels felt how if mean means mention or said say says"
    " tell think thinks thought told when where while who why"
    " aber dass oder und weil wenn o pero porque si y et mais ou ma perche e ? ! . , ; : …"
)
_POSSESSIVES = frozenset({"her", "his", "its", "their", "theirs"})
_PEOPLE = _set_of(
    "he her hers him his she their theirs them they"
    " er ihm ihn ella ellas ellos elle elles lui leur lei ela elas ele eles"
)
_THINGS = _set_of(
    "it its these those dabei dafür damit daran darüber davon dazu dort"
    " allí eso esto cela celle celui ça quello questo isso isto"
)
_TIMES = _set_of(
    "afternoon autumn century day days decade evening fall moment month months morning night point"
    " quarter season semester spring summer term time times week weekend weeks winter year"
    " years"
)
_NOTHING = _set_of(  # what follows an "it" that stands for nothing
    "a an bad best better comes common difficult easy fair going good hard important legal"
    " likely mean means necessary normal ok okay possible rain raining right safe seem seems"
    " snowing take takes that time to too true worth"
)
_ASKING = _set_of(
    "how when where which who whom why wann warum wer wie wo como cuando donde quien"
    " comment ou pourquoi quand qui chi come dove perche onde quem"
)
_TELLING = _set_of(
    "describe explain list remind show summarise summarize tell"
)  # "... me about it"
_GOING_ON = re.compile(
    r"\s*¿?(?:(?:and|but|or|what about|how about|und|aber|was ist mit|y|pero|qué tal|et|mais|e)\s)",
    re.IGNORECASE,
)
_SAME = re.compile(
    r"\b(?:the (?:same|former|latter)|(?:which|that|this|the other|another) one"
    r"|d(?:er|ie|as)selbe|(?:lo|el) mismo|la misma|l[ea] même|lo stesso|la stessa)\b",
    re.IGNORECASE,
)


def leaning(question: str) -> Leaning | None:
    """How `question` needs what was said before it. None where it does not, or in doubt."""
    if not question.strip() or len(question) > MAX_CHARACTERS:
        return None
    message = _Message(question)
    if not message.asks:
        return None
    goes_on = message.size <= FEW_WORDS and bool(_GOING_ON.match(question))
    if goes_on or message.asks_barely:
        return "goes on"
    pointing = {message.words[i] for i in range(len(message.words)) if message.dangles(i)}
    if pointing and pointing <= _PEOPLE:
        return "points at someone"
    return "points" if pointing or message.means_the_same else None


def in_context(question: str, asked: str, answered: str) -> str:
    """The question, where it leans on the turn before it behind what it needs of that.

    One that points needs what was named there, one that goes on with a question needs that.
    """
    lean = leaning(question)
    if lean is None:
        return question
    if lean == "goes on":
        needed = _beginning(asked)
    else:
        people = lean == "points at someone"
        named = _named(asked, people) + _named(answered, people)[:MOST_ANSWERED]
        needed = ", ".join(dict.fromkeys(named))
    return f"{needed}\n{question}" if needed else question


def _beginning(text: str) -> str:
    """At most `SAID_CHARACTERS`, up to the end of a word."""
    said = " ".join(text[: 2 * SAID_CHARACTERS].split())
    if len(said) <= SAID_CHARACTERS:
        return said
    return said[:SAID_CHARACTERS].rpartition(" ")[0] or said[:SAID_CHARACTERS]


def _named(text: str, people: bool) -> list[str]:
    """Of people their names; where there are none, or for a thing, whatever is named."""
    message = _Message(_beginning(text))
    names = message.names()[:MOST_NAMES] if people else []
    return names or message.things()[-MOST_THINGS:]


class _Message:
    """A short message, word by word; marks between clauses are words too."""

    def __init__(self, text: str) -> None:
        self._written = _WORD.findall(text)
        self.words = [word.casefold() for word in self._written]
        self.size = sum(word.isalnum() for word in self.words)
        self.asks = "?" in text or bool((_ASKING | _AUXILIARIES | _TELLING) & set(self.words[:1]))
        self.means_the_same = self.size <= FEW_WORDS and bool(_SAME.search(text))
        self.asks_barely = not terms(text) and bool(_ASKING & set(self.words[:1]))

    def dangles(self, place: int) -> bool:
        """Whether this word points at something that the message does not name before it."""
        return self._points(place) and not self._named_before(place)

    def things(self) -> list[str]:
        """Names, numbers, and what follows an article or the like."""
        found: list[list[str]] = []
        last = -1
        for place in range(len(self.words)):
            if place == last + 1 and found and self._goes_on(place):
                found[-1].append(self._written[place])
                last = place
            elif self._is_noun(place):
                found.append([self._written[place]])
                last = place
        return [" ".join(thing[:MOST_THING_WORDS]) for thing in found]

    def names(self) -> list[str]:
        return [self._written[i] for i in range(len(self.words)) if self._is_name(i)]

    def _goes_on(self, place: int) -> bool:
        word = self.words[place]
        return (
            word.isalnum()
            and bool(terms(word))
            and word not in _CLAUSES | _AUXILIARIES | _PREPOSITIONS
        )

    def _points(self, place: int) -> bool:
        word, before, after = self.words[place], self._word(place - 1), self._word(place + 1)
        ends = not after.isalnum()
        if after in _TIMES:
            return False
        if word == "it":
            return after not in _NOTHING and "time" not in self.words[:place]
        if word in {"this", "that"}:
            return ends or before in _BEFORE_POINTING or not before.isalnum()
        if word == "there":
            return after not in _AUXILIARIES and before not in _AUXILIARIES and place > 0
        if word == "then":
            return before in _SINCE
        return word in _PEOPLE or word in _THINGS

    def _named_before(self, place: int) -> bool:
        """Whether a name, or a thing with its article, stands before the word that points.

        The subject of the same clause is none unless the word is a possessive: "it" is not the vet
        in "What did the vet say about it?". A person may be any that is named.
        """
        nouns = [i for i in range(1, place) if self._is_noun(i)]
        word = self.words[place]
        if word in _POSSESSIVES or (word in _PEOPLE and any(map(self._is_name, nouns))):
            return bool(nouns)
        subject = self._subject(place, nouns)
        return any(i != subject for i in nouns)

    def _subject(self, place: int, nouns: Sequence[int]) -> int | None:
        """Of the clause that `place` is in, where it is turned round as in a question."""
        clause = max((i + 1 for i in range(place) if self._opens_clause(i)), default=0)
        turned = [i for i in range(clause, place - 1) if self.words[i] in _AUXILIARIES]
        return next((i for i in nouns if turned and i > turned[0]), None)

    def _opens_clause(self, place: int) -> bool:
        return self.words[place] in _CLAUSES and self._word(place + 1) not in _PREPOSITIONS

    def _is_noun(self, place: int) -> bool:
        word = self.words[place]
        told = self._word(place - 1) in _ARTICLES and bool(terms(word))
        return self._is_name(place) or word.isdigit() or told

    def _is_name(self, place: int) -> bool:
        begins = not place or not self.words[place - 1].isalnum()
        return self._written[place][0].isupper() and self.words[place] != "i" and not begins

    def _word(self, place: int) -> str:
        return self.words[place] if 0 <= place < len(self.words) else ""
