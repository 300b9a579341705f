"""What the light embedding says of a conversation: of all that a request would name, windows that
are read and those beyond, since that costs little."""

import hashlib
from collections.abc import Callable, Sequence

from torch import Tensor

from gateway.retrieval.windows import cut, whole
from retriever.evaluating.ground import Ground, Scores
from retriever.evaluating.heads import Book, Read, Timer
from retriever.reading.likeness import Embedder


class Nearness:
    """`identity` is all that vectors depend on beside the texts; `make` loads the embedding, once,
    when something is asked that the book does not know."""

    def __init__(
        self,
        identity: str,
        make: Callable[[], Embedder],
        window_tokens: int,
        book: Book,
        timer: Timer,
    ) -> None:
        self._identity = identity
        self._make = make
        self._window_tokens = window_tokens
        self._book = book
        self._timer = timer
        self._embedder: Embedder | None = None

    def meet(self, ground: Ground) -> Callable[[str], Scores]:
        """Cosines by message, of a query."""
        windows = cut([ground.index], self._window_tokens)
        chunks = [chunk for window in windows for chunk in window.worded().chunks]
        ids, texts = [one.id for one in chunks], [one.text for one in chunks]
        kept: list[Tensor] = []

        def near(query: str) -> Scores:
            key = self._key(texts, query)
            known = self._book.find(key)
            if known is not None:
                return known.scores
            started = self._timer()
            if not kept:
                kept.append(self._vectors(texts))  # (texts, width)
            scores = (kept[0] @ self._vectors([query])[0]).tolist()
            told = whole(dict(zip(ids, scores, strict=True)))
            return self._book.write(key, Read(told, self._timer() - started)).scores

        return near

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        if self._embedder is None:
            self._embedder = self._make()
        return self._embedder.vectors(texts)

    def _key(self, texts: Sequence[str], query: str) -> str:
        said = hashlib.sha256(f"{self._identity}\n{query!r}\n".encode())
        for text in texts:
            said.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return said.hexdigest()
