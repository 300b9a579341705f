"""t"""
from collections.abc import Sequence
from gateway.retrieval.base import Chunk, Scored
from gateway.retrieval.terms import terms
class LexicalIndex:
    def __init__(self, chunks: Sequence[Chunk]) -> None: self.chunks = list(chunks)
def rank(query: str, indexes: Sequence[LexicalIndex]) -> list[Scored]:
    q=set(terms(query)); out=[]
    for ix in indexes:
        for c in ix.chunks:
            ps=tuple(len(q & set(terms(p.text)))/max(1,len(q)) for p in c.passages)
            if max(ps)>0: out.append(Scored(c,max(ps),ps))
    return sorted(out,key=lambda s:-s.score)
