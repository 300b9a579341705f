"""Which questions an evaluation asks. Pure: a seed decides."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from retriever.judging.dialogues import Dialogue, Question

UNASKED = frozenset({"adversarial"})  # LoCoMo's carry a trap as their evidence
FOREIGN = "foreign"
IDLE = "idle"  # what nobody needs a memory for
IDLE_TEXTS = (
    "hello",
    "thanks!",
    "ok",
    "How are you today?",
    "Tell me a joke.",
    "Write a Python quicksort.",
    "What is the capital of France?",
    "What's 17 times 23?",
    "Translate 'good morning' into Japanese.",
    "Give me a regex that matches an IPv4 address.",
    "Can you explain how photosynthesis works?",
    "Fix this: SELECT * FORM users;",
)


def sampled(
    sets: Mapping[str, Sequence[Dialogue]],
    *,
    conversations: int | None,
    questions: int | None,
    foreign: int,
    idle: int = 0,
    seed: int,
    is_long: Callable[[Dialogue], bool],
    long_questions: int,
) -> dict[str, list[Dialogue]]:
    """At most so many conversations of each set and questions of each conversation, in their order;
    None: all. `foreign` more are about another conversation of the set, `idle` ones about nothing
    that is remembered: nothing here answers.

    A long conversation is asked at most `long_questions`, and one of either kind beside: what it
    has to be read for is another part each time.
    """
    found: dict[str, list[Dialogue]] = {}
    for name, dialogues in sets.items():
        rng = Random(f"{seed}/{name}")  # noqa: S311  repeatable, not secret
        found[name] = []
        for i in _some(range(len(dialogues)), conversations, rng):
            most, strange, talk = questions, foreign, idle
            if questions is not None and is_long(dialogues[i]):
                most = min(questions, long_questions)
                strange, talk = min(foreign, 1), min(idle, 1)
            asked = _asked(dialogues[i], dialogues, most, strange, seed)
            found[name].append(_with_idle(asked, talk, seed))
    return found


def askable(dialogue: Dialogue) -> list[Question]:
    """Evidence that is not in the conversation is no evidence; a question whose evidence is lost
    altogether cannot be judged."""
    there = {message.id for message in dialogue.messages}
    kept: list[Question] = []
    for one in dialogue.questions:
        evidence = tuple(dict.fromkeys(id for id in one.evidence if id in there))
        if one.kind not in UNASKED and bool(evidence) == bool(one.evidence):
            kept.append(one.model_copy(update={"evidence": evidence}))
    return kept


def _asked(
    dialogue: Dialogue, others: Sequence[Dialogue], questions: int | None, foreign: int, seed: int
) -> Dialogue:
    rng = Random(f"{seed}/{dialogue.id}")  # noqa: S311  repeatable, not secret
    own = askable(dialogue)
    kept = [own[i] for i in _some(range(len(own)), questions, rng)]
    texts = {one.text for one in dialogue.questions}
    strange = [
        one.model_copy(update={"id": f"{other.id}/{one.id}", "kind": FOREIGN, "evidence": ()})
        for other in others
        for one in askable(other)
        if one.evidence and one.text not in texts
    ]
    kept += [strange[i] for i in _some(range(len(strange)), foreign, rng)]
    return dialogue.model_copy(update={"questions": tuple(kept)})


def _with_idle(dialogue: Dialogue, idle: int, seed: int) -> Dialogue:
    rng = Random(f"{seed}/{dialogue.id}/idle")  # noqa: S311  repeatable, not secret
    talk = [
        Question(id=f"idle/{i}", kind=IDLE, text=IDLE_TEXTS[i])
        for i in _some(range(len(IDLE_TEXTS)), idle, rng)
    ]
    return dialogue.model_copy(update={"questions": (*dialogue.questions, *talk)})


def _some(numbers: range, most: int | None, rng: Random) -> list[int]:
    if most is None or most >= len(numbers):
        return list(numbers)
    return sorted(rng.sample(numbers, most))
