"""Embeds what requests name, a few texts at a time, beside the reading."""

import logging
from collections.abc import Sequence

from retriever.reading.cache import WindowCache
from retriever.reading.jobs import Job
from retriever.reading.likeness import Embedder, Likeness, counted
from retriever_contract.wire import Chunk

logger = logging.getLogger(__name__)


class Embedding:
    """`asked_share` is that of each request's windows which the heads are asked about."""

    def __init__(self, embedder: Embedder, cache: WindowCache, asked_share: float) -> None:
        self._embedder = embedder
        self._cache = cache
        self.asked_share = asked_share

    def likeness(
        self,
        owner: str,
        epoch: int,
        windows: Sequence[Sequence[Chunk]],
        queries: Sequence[str],
    ) -> Likeness:
        texts = [chunk.text for chunks in windows for chunk in chunks]
        return Likeness(owner, epoch, texts, queries, self._cache.vectors)

    def step(self, jobs: Sequence[Job]) -> bool:
        """One pass for one of the jobs; False where all is embedded. What fails is left out: the
        heads answer without it."""
        likeness = _next(jobs)
        if likeness is None:
            return False
        try:
            texts = likeness.step(self._embedder)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the tokenizer's Rust is no Exception
            likeness.fail()
            logger.error("the embedding failed: %s", type(error).__name__)
        else:
            self._cache.counts.texts_embedded += len(texts)
            self._cache.counts.characters_embedded += counted(texts)
        return True


def _next(jobs: Sequence[Job]) -> Likeness | None:
    """The one that misses least: its queries alone, or a turn, beside a memory that is new."""
    unknown = [job.likeness for job in jobs if job.likeness and not job.is_embedded]
    return min(unknown, key=lambda one: one.missing_characters, default=None)
