"""Of two statements that contradict each other, the later one first. Pure.

No model: two clauses of one speaker contradict each other when they are alike but for a negation,
or the later one says that something has changed; short messages of one clause also when they differ
in one place. Others that only sound alike ("that is a good plan") mostly fail these.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from heapq import nlargest
from itertools import combinations
from operator import itemgetter, or_

from gateway.retrieval.base import Passage
from gateway.retrieval.offers import Line, Offer
from gateway.retrieval.terms import terms, words

MOST_COMPARED = 32  # of the best messages, each with each
MAX_CHARACTERS = 600  # longer messages are not read for statements
MAX_CLAUSES = 8
COMPARABLE = 0.5  # of the earlier one's score: what the later must have to be about the same
VALUE_WORDS = 4
FEWEST_WORDS = 3  # of a clause, and of those that two share
NEGATED, PLAIN, CHANGED = 1, 2, 4  # marks of a message that has such a clause
ALIKE, ALIKE_OF_LONGER = 0.75, 0.5  # shared content, as a part of the shorter and the longer clause


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CLAUSE_ENDS = re.compile(r"[!?;:…\n\u3002\uff01\uff1f\uff1b]+|[.,\u3001\uff0c]+(?=\s|$)")
_NEGATIONS = _set_of(
    "cannot don doesn didn hasn haven isn wasn weren neither never no none nor not won without"
    " nicht kein keine keinen keinem keiner nie niemals nunca jamas ningun ninguna sin"
    " pas jamais aucun aucune non mai nessuno nao nem"
)
_CHANGES = _set_of(
    "actually adjusted anymore change changed correction decreased increased instead longer moved"
    " new newly now postponed raised reduced rescheduled switched updated"
    " jetzt nun stattdessen mehr neu neue neuer geandert verschoben verlegt"
    " ahora ya cambio cambiado nuevo nueva maintenant desormais deplace nouveau nouvelle"
    " adesso ora nuovo nuova cambiato spostato agora mudou novo nova"
)


@dataclass(frozen=True)
class _Clause:
    """Few are ever compared by what they tell, so that is found out when it is asked for."""

    words: tuple[str, ...]
    negated: bool
    changed: bool

    @cached_property
    def content(self) -> frozenset[str]:
        kept = (word for word in self.words if word not in _NEGATIONS and word not in _CHANGES)
        return frozenset(terms(" ".join(kept)))


@dataclass(frozen=True)
class _Statement:
    """A message, the offer that holds it, and what it says."""

    line: Line
    offer: int

    @cached_property
    def clauses(self) -> tuple[_Clause, ...]:
        return tuple(_clauses(self.line.passage.text))


def later_first(offers: Sequence[Offer]) -> list[Offer]:
    """The offers; one that overrules an earlier statement is worth at least as much as that.

    Of equals the later goes first. Both go in if both fit.
    """
    lifted = list(offers)
    statements = _statements(offers)
    scores = [one.line.score for one in statements]
    for i, j in _comparable(statements):
        earlier, later, above, below = statements[i], statements[j], scores[i], scores[j]
        theirs, ours = lifted[earlier.offer], lifted[later.offer]
        behind = below < above or (below == above and ours.value < theirs.value)
        if behind and below >= COMPARABLE * above and _overrules(later, earlier):
            lifted[later.offer] = _lifted(ours, later.line, above, theirs.value)
            scores[j] = above
    return lifted


def _statements(offers: Sequence[Offer]) -> list[_Statement]:
    """Of the best messages, the earliest first."""
    held = [(line, i) for i, offer in enumerate(offers) for line in offer.lines if line.score > 0]
    if len(held) > MOST_COMPARED:
        least = nlargest(MOST_COMPARED, [line.score for line, _ in held])[-1]
        held = [one for one in held if one[0].score >= least]
    best = nlargest(MOST_COMPARED, held, key=lambda one: (one[0].score, one[0].age))
    best.sort(key=lambda one: one[0].age)
    return [_Statement(line, i) for line, i in best]


def _comparable(statements: Sequence[_Statement]) -> Iterator[tuple[int, int]]:
    """Pairs of one speaker's, by number, in which the later could overrule the earlier: what marks
    them is known of each message alone."""
    each = [(i, one.line.passage, _marks(one)) for i, one in enumerate(statements)]
    for (i, before, theirs), (j, after, ours) in combinations(filter(itemgetter(2), each), 2):
        told = ours & CHANGED or _opposed(ours, theirs)
        if before.role == after.role and (told or _may_differ_in_one_place(before, after)):
            yield i, j


def _may_differ_in_one_place(one: Passage, other: Passage) -> bool:
    """False where neither their beginnings nor their ends are the same."""
    if one.traits.alone is None or other.traits.alone is None:
        return False
    (first, last, count), (its_first, its_last, its_count) = one.traits.alone, other.traits.alone
    return (first == its_first or last == its_last) and abs(count - its_count) <= VALUE_WORDS


def _opposed(ours: int, theirs: int) -> bool:
    return bool((ours & NEGATED and theirs & PLAIN) or (ours & PLAIN and theirs & NEGATED))


def _marks(statement: _Statement) -> int:
    """Found once for each message; none of one that says nothing which could be compared."""
    traits = statement.line.passage.traits
    if traits.says is None:
        clauses = statement.clauses
        marks = [NEGATED if one.negated else PLAIN for one in clauses]
        marks += [CHANGED for one in clauses if one.changed]
        traits.says = reduce(or_, marks, 0)
        if len(clauses) == 1:
            said = clauses[0].words
            traits.alone = said[0], said[-1], len(said)
    return traits.says


def _lifted(offer: Offer, line: Line, score: float, value: float) -> Offer:
    lines = [
        replace(one, score=score) if one.position == line.position else one for one in offer.lines
    ]
    return Offer(lines, max(offer.value, value))


def _clauses(text: str) -> Iterator[_Clause]:
    if len(text) > MAX_CHARACTERS:
        return
    for clause in _CLAUSE_ENDS.split(text)[:MAX_CLAUSES]:
        said = words(clause)
        if len(said) >= FEWEST_WORDS:
            yield _Clause(
                tuple(said),
                not _NEGATIONS.isdisjoint(said),
                not _CHANGES.isdisjoint(said),
            )


def _overrules(later: _Statement, earlier: _Statement) -> bool:
    short = len(later.clauses) == len(earlier.clauses) == 1
    return any(
        _contradict(theirs, ours, short) for theirs in earlier.clauses for ours in later.clauses
    )


def _contradict(earlier: _Clause, later: _Clause, short: bool) -> bool:
    if short and _differ_in_one_place(earlier.words, later.words):
        return bool(terms(" ".join(set(earlier.words) & set(later.words))))
    told = later.changed or later.negated != earlier.negated
    return told and _alike(earlier.content, later.content)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    shorter, longer = sorted((len(one), len(other)))
    enough = shared >= ALIKE * shorter and shared >= ALIKE_OF_LONGER * longer
    return shared >= FEWEST_WORDS and enough


def _differ_in_one_place(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether they have another value in the same words."""
    shortest, longest = sorted((len(one), len(other)))
    start = _common(one, other)
    end = min(_common(one[::-1], other[::-1]), shortest - start)
    same = start + end
    in_same_words = same >= FEWEST_WORDS and 2 * same >= longest
    return in_same_words and shortest > same and longest - same <= VALUE_WORDS


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
