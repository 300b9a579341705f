"""t"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from gateway.retrieval.base import Passage, Scored


@dataclass(frozen=True, slots=True)
class Selected:
    passage: Passage
    score: float
    rank: int


def select(
    scored: Sequence[Scored],
    *,
    budget_tokens: int,
    top_k: int,
    floor: float,
    exclude: Collection[str],
    overhead_tokens: int,
) -> list[Selected]:
    out: list[Selected] = []
    used = 0
    for s in scored[:top_k]:
        for p, ps in zip(s.chunk.passages, s.passage_scores):
            if p.id in exclude or s.score < floor:
                continue
            if used + p.tokens + overhead_tokens > budget_tokens:
                continue
            used += p.tokens + overhead_tokens
            out.append(Selected(p, ps, len(out) + 1))
    return sorted(out, key=lambda x: x.passage.at)
