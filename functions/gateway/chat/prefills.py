"""Reading ahead beside a turn: the ranker gets to know the question while the upstream answers it.

Nothing waits for it and nothing fails with it; a process that ends drops it.
"""

import asyncio
import logging

import orjson

from gateway.chat.turn import Turn
from gateway.retrieval.base import Ranker

logger = logging.getLogger(__name__)


class Prefills:
    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._running: set[asyncio.Task[None]] = set()  # the loop itself holds them but weakly

    def begin(self, turn: Turn) -> None:
        """At once, and only for what shall be stored."""
        if turn.writes and turn.prompt.upcoming:
            task = asyncio.create_task(self._prefill(turn))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _prefill(self, turn: Turn) -> None:
        epoch = turn.loaded.owner.epoch
        try:
            await self._ranker.prefill(turn.owner, epoch, turn.prompt.upcoming)
        except Exception as error:  # whatever it is, the turn has nothing to do with it
            line = {"event": "prefill_failed", "severity": "WARNING", "error": type(error).__name__}
            logger.warning(orjson.dumps(line).decode())
