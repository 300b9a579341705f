"""Methods rank conversations, one question after the other; what came of it are records."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from tqdm import tqdm  # type: ignore[import-untyped]  # it brings no types

from retriever.errors import Unusable
from retriever.evaluating.ground import Ground, Length
from retriever.evaluating.methods import Method, Order
from retriever.evaluating.metrics import judged
from retriever.evaluating.records import KEPT, GatewayRecord, Record
from retriever.judging.dialogues import Dialogue, Question

GATEWAY = "gateway"

Recorded = Mapping[tuple[str, str, str], GatewayRecord]


def contest(
    sets: Mapping[str, Sequence[Dialogue]],
    methods: Sequence[Method],
    length: Length,
    recorded: Recorded,
    timer: Callable[[], float],
) -> Iterator[Record]:
    """Of every question of every set, and what the gateway chose for it. Raises Unusable."""
    names = sum(len(method.names) for method in methods)
    total = names * sum(len(one.questions) for each in sets.values() for one in each)
    with tqdm(total=total, unit="order") as bar:
        for name, dialogues in sets.items():
            for dialogue in dialogues:
                bar.set_description(f"{name} {dialogue.id}")
                ground = Ground(dialogue, length)
                for record in compare(name, ground, methods, timer):
                    bar.update()
                    yield record
                yield from of_gateway(name, ground, recorded)


def compare(
    name: str, ground: Ground, methods: Sequence[Method], timer: Callable[[], float]
) -> Iterator[Record]:
    """A method at a time, as it would be alone: what it keeps is freed before the next one."""
    for method in methods:
        started = timer()
        rank = method.meet(ground)
        for number, question in enumerate(ground.dialogue.questions):
            orders = rank(question.text)
            ended = timer()
            for by, order in orders.items():
                seconds = ended - started if order.seconds is None else order.seconds
                where = (name, ground.dialogue.id, by)
                ranked = ground.order(order.scores)
                yield _record(where, question, ranked, order, ground).model_copy(
                    update={"seconds": seconds, "is_first": number == 0}
                )
            started = timer()


def _record(
    where: tuple[str, str, str],
    question: Question,
    ranked: Sequence[str],
    order: Order,
    ground: Ground,
) -> Record:
    evidence = frozenset(question.evidence)
    return Record(
        set=where[0],
        conversation=where[1],
        method=where[2],
        question=question.id,
        kind=question.kind,
        evidence=question.evidence,
        ranked=tuple(ranked[:KEPT]),
        figures=judged(ranked, evidence, ground.tokens) if evidence else {},
        top=order.top,
        seconds=0.0,
        is_first=False,
    )


def of_gateway(name: str, ground: Ground, recorded: Recorded) -> Iterator[Record]:
    """What it chose for those questions of the sample that it was asked. Raises Unusable: it names
    a message that the conversation has not."""
    for question in ground.dialogue.questions:
        told = recorded.get((name, ground.dialogue.id, question.id))
        if told is None:
            continue
        if strange := set(told.ranked) - set(ground.tokens):
            raise Unusable(f"gateway's records: {told.conversation} has no message {min(strange)}")
        where = (name, ground.dialogue.id, GATEWAY)
        yield _record(where, question, told.ranked, Order({}), ground).model_copy(
            update={"seconds": told.seconds, "is_first": told.is_first}
        )
