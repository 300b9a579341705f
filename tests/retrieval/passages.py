"""Chunks out of plain strings, for the tests of this room."""

from gateway.retrieval.base import Chunk, Passage


def passage(
    id: str, text: str, *, at: float = 0.0, session: str = "s", tokens: int | None = None
) -> Passage:
    size = len(text.split()) if tokens is None else tokens
    return Passage(id, session, "user", text, size, at)


def chunk(*passages: Passage) -> Chunk:
    return Chunk(passages)


def monologue(*texts: str, session: str = "s", first: int = 0) -> list[Chunk]:
    """One chunk a text, said a second apart, with ids m0, m1, ..."""
    return [
        chunk(passage(f"m{i}", text, at=float(i), session=session))
        for i, text in enumerate(texts, start=first)
    ]
