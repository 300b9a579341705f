"""What a finished turn adds to its session's log: its questions and answers. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.chat.completion import Completion
from gateway.chat.keeping import kept_extras, kept_text, kept_tokens
from gateway.chat.prompt import last_user
from gateway.chat.receipt import cached_tokens
from gateway.chat.threads import Spoken, aligned, fingerprint_of, hash_of
from gateway.chat.turn import Turn
from gateway.chat.wire import Message
from gateway.memory.alignment import Alignment
from gateway.memory.growth import ROOT, Addition
from gateway.memory.heads import Head
from gateway.memory.records import INSTANT_SECONDS, Record, State
from gateway.tokens.base import Tokenizer


def answers(
    turn: Turn,
    completion: Completion,
    tokenizer: Tokenizer,
    new_id: Callable[[], str],
    *,
    interrupted: bool,
) -> list[Record]:
    """Every choice that says something; the first is on the branch until history picks another."""
    return [
        replace(
            _record(turn, new_id(), choice.message(), tokenizer, len(turn.said) + k),
            state="alternative" if k else "active",
            interrupted=interrupted,
        )
        for k, choice in enumerate(completion.answers())
    ]


def addition(
    turn: Turn,
    head: Head,
    answered: Sequence[Record],
    receipt: Mapping[str, Any],
    tokenizer: Tokenizer,
    *,
    usage: Mapping[str, Any] | None,
    answers_are_memories: bool,
) -> Addition:
    """The turn as an addition to `head`, which may be newer than the one the turn began with."""
    alignment = aligned(turn.said, head)
    asked = _questions(turn, alignment, tokenizer)
    unstored = frozenset(() if answers_are_memories else (record.id for record in answered))
    records = [*asked, *_beside_each_other(turn, alignment, answered)]
    carrier = next((i for i, record in enumerate(records) if record.id not in unstored), None)
    if carrier is not None:
        records[carrier] = replace(records[carrier], receipt=receipt)
    return Addition(
        key=turn.key,
        records=records,
        unstored=unstored,
        states=_states(alignment),
        block=_block(turn),
        usage=_usage(turn, usage),
        fingerprint=None if head.fingerprint else _fingerprint(turn, answered),
    )


def _questions(turn: Turn, alignment: Alignment, tokenizer: Tokenizer) -> list[Record]:
    """The request's messages that the log does not have.

    One that stands before a message the log has names its parent, so that it takes its place there;
    the others follow the end of the branch, whatever that has become meanwhile.
    """
    last_matched = max(alignment.matched, default=-1)
    records = []
    for i in alignment.new:
        before = alignment.matched.get(i - 1) or turn.message_ids.get(i - 1) or ROOT
        record = _record(turn, turn.message_ids[i], turn.said[i].message, tokenizer, i)
        records.append(replace(record, parent=before if i < last_matched else None))
    return records


def _beside_each_other(
    turn: Turn, alignment: Alignment, answered: Sequence[Record]
) -> list[Record]:
    """Alternatives name the question as their parent; the first answer follows the branch."""
    last = len(turn.said) - 1
    question = alignment.matched.get(last) or turn.message_ids.get(last)
    return [
        replace(record, parent=question) if record.state == "alternative" else record
        for record in answered
    ]


def _record(turn: Turn, id: str, message: Message, tokenizer: Tokenizer, place: int) -> Record:
    return Record(
        id=id,
        session="",
        sequence=0,
        parent=None,
        role=str(message["role"]),
        content=kept_text(message, turn.redactor),
        tokens=kept_tokens(message, turn.redactor, tokenizer),
        at=turn.started + place * INSTANT_SECONDS,
        hash=hash_of(turn.owner, message),
        extras=kept_extras(message, turn.redactor),
    )


def _states(alignment: Alignment) -> dict[str, State]:
    states: dict[str, State] = {}
    states.update(dict.fromkeys(alignment.superseded, "superseded"))
    states.update(dict.fromkeys(alignment.forked, "forked"))
    states.update(dict.fromkeys(alignment.revived, "active"))
    return states


def _block(turn: Turn) -> dict[str, str] | None:
    """The turn's memory block with the question it belongs to, for a tool loop to repeat.

    A request without a question, such as a tool's reply alone, leaves the last one standing.
    """
    place = last_user(turn.request.messages)
    if place is None:
        return None
    return {"for": hash_of(turn.owner, turn.request.messages[place]), "text": turn.prompt.block}


def _usage(turn: Turn, usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the upstream said of its prompt cache; `cut` tells whether that prompt was a cut one."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "cached_tokens": cached_tokens(usage),
        "cut": bool(turn.prompt.layout.get("cut")),
    }


def _fingerprint(turn: Turn, answered: Sequence[Record]) -> str | None:
    """Of the conversation's beginning, this turn's answer included when it is the first."""
    answer = [Spoken(len(turn.said), {"role": one.role}, one.hash) for one in answered[:1]]
    return fingerprint_of(turn.owner, [*turn.said, *answer])
