"""A ranker of few lines, for tests of what serves one: the words that a chunk and a query share."""

from retriever_contract.wire import (
    CacheFigures,
    Chunk,
    ChunkScore,
    DeviceFigures,
    Facts,
    ForgetAnswer,
    ForgetRequest,
    Health,
    PrefillAnswer,
    PrefillRequest,
    RankAnswer,
    RankRequest,
    Work,
)

FACTS = Facts(
    model="words",
    adapter=None,
    profile="words-1",
    window_tokens=2048,
    floor=0.5,
    fusion_weight=None,
)


class WordRanker:
    """Its tokens are words; what an owner showed it once counts as cached until `forget`."""

    def __init__(self) -> None:
        self.closed = False
        self._seen: dict[str, set[str]] = {}

    async def rank(self, request: RankRequest) -> RankAnswer:
        chunks = [chunk for window in request.windows for chunk in window.chunks]
        cached = sum(self._read(request.owner, chunk) for chunk in chunks)
        work = Work(
            tokens=sum(len(chunk.text.split()) for chunk in chunks),
            tokens_cached=cached,
            windows=len(request.windows),
            seconds=0.0,
        )
        scores = [[_score(query, chunk) for chunk in chunks] for query in request.queries]
        return RankAnswer(facts=FACTS, scores=scores, work=work)

    def prefill(self, request: PrefillRequest) -> PrefillAnswer:
        for window in request.windows:
            for chunk in window.chunks:
                self._read(request.owner, chunk)
        return PrefillAnswer(windows=len(request.windows))

    async def forget(self, request: ForgetRequest) -> ForgetAnswer:
        forgotten = self._seen.pop(request.owner, set())
        return ForgetAnswer(windows=len(forgotten), horizon_seconds=600.0)

    def health(self) -> Health:
        windows = sum(map(len, self._seen.values()))
        cache = CacheFigures(
            windows=windows,
            bytes=0,
            max_bytes=1,
            hits=0,
            misses=0,
            tokens_read=0,
            tokens_cached=0,
            evicted=0,
        )
        return Health(status="ready", facts=FACTS, cache=cache, device=DeviceFigures(name="none"))

    def close(self) -> None:
        self.closed = True

    def _read(self, owner: str, chunk: Chunk) -> int:
        """How many of the chunk's tokens were read before."""
        seen = self._seen.setdefault(owner, set())
        known = chunk.text in seen
        seen.add(chunk.text)
        return len(chunk.text.split()) if known else 0


def _score(query: str, chunk: Chunk) -> ChunkScore:
    shared = set(query.lower().split()) & set(chunk.text.lower().split())
    return ChunkScore(id=chunk.id, score=float(len(shared)))
