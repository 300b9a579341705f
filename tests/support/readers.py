"""A tiny model with the retriever's fast path around it, and the reference's view of the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from retriever.profile import Head
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.jobs import Job
from retriever.reading.likeness import Embedder
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever_contract.wire import Chunk
from support.tiny_models import tiny_tokenizer

OWNER = "0123456789abcdef"
HEADS = (Head(0, 1), Head(1, 0), Head(1, 5), Head(2, 3), Head(2, 7))


@dataclass(frozen=True, slots=True)
class Form:
    user_opener: str = "<|im_start|>user\n"
    assistant_opener: str = "<|im_end|>\n<|im_start|>assistant\n"
    chunk_tokens: int = 300
    query_tokens: int = 256


class Clock:
    """Ours: it moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Desk:
    """A reader over one model, and what it needs beside it."""

    model: Any  # a whole causal model
    prompt: Prompt
    reader: Reader
    clock: Clock
    heads: Sequence[Head]

    def rank(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        *queries: str,
        owner: str = OWNER,
        epoch: int = 0,
    ) -> list[list[float]]:
        """Scores of one window's texts, or of several windows', for each query."""
        job = self.begin(texts, *queries, owner=owner, epoch=epoch)
        self.finish(job)
        return job.scores()

    def begin(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        *queries: str,
        owner: str = OWNER,
        epoch: int = 0,
    ) -> Job:
        return self.reader.begin(owner, epoch, chunked(texts), queries)

    def finish(self, *jobs: Job) -> None:
        while not all(job.is_done for job in jobs):
            self.reader.step(jobs)

    def prompt_ids(
        self, texts: Sequence[str], query: str
    ) -> tuple[list[int], list[list[int]], list[int], list[int], list[int]]:
        """What the reference takes: opening, chunks, stem, tail and null tail."""
        prompt = self.prompt
        chunks = [piece for i, text in enumerate(texts, 1) for piece in prompt.chunk(i, text)]
        return prompt.opening, chunks, prompt.stem, prompt.tail(query), prompt.null_tail


def desk(
    model: Any,
    heads: Sequence[Head] = HEADS,
    *,
    window_tokens: int = 4000,
    pass_rows: int = 64,
    max_bytes: int = 1 << 30,
    length_power: float = 0.0,
    form: Form | None = None,
    decoder_model: Any = None,
    embedder: Embedder | None = None,
    asked_share: float = 1.0,
) -> Desk:
    """`pass_rows` is small, so that windows are read in several passes."""
    clock = Clock()
    prompt = Prompt(tiny_tokenizer(), form or Form(), bos=0)
    cache = WindowCache(max_bytes, 600.0, clock)
    decoder = Decoder(decoder_model or model.model, heads)
    reader = Reader(
        decoder,
        prompt,
        cache,
        window_tokens=window_tokens,
        pass_rows=pass_rows,
        length_power=length_power,
        embedder=embedder,
        asked_share=asked_share,
    )
    return Desk(model, prompt, reader, clock, heads)


def chunked(texts: Sequence[str] | Sequence[Sequence[str]]) -> list[list[Chunk]]:
    """Chunks with ids by place; a flat sequence is one window."""
    windows = [texts] if all(isinstance(text, str) for text in texts) else texts
    numbers = count()
    return [[Chunk(id=f"c{next(numbers)}", text=text) for text in window] for window in windows]
