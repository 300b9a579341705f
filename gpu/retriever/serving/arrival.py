"""An engine that is still to come: loaded beside the server that already answers for it.

Knows neither HTTP nor what loading is, only that it takes long and may fail.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from retriever.errors import Loading, RetrieverError, Unusable
from retriever_contract.wire import (
    ForgetAnswer,
    ForgetRequest,
    Health,
    PrefillAnswer,
    PrefillRequest,
    RankAnswer,
    RankRequest,
)

logger = logging.getLogger(__name__)

LOADING_RETRY_SECONDS = 5.0


class Ranker(Protocol):
    """What is served: `reading.engine.Engine`, named here so that serving needs no torch."""

    async def rank(self, request: RankRequest) -> RankAnswer: ...
    def prefill(self, request: PrefillRequest) -> PrefillAnswer: ...
    async def forget(self, request: ForgetRequest) -> ForgetAnswer: ...
    def health(self) -> Health: ...
    def close(self) -> None: ...


class Arrival:
    """Loads one engine. `announce` hears, on the loading thread, how it ended."""

    def __init__(
        self, start: Callable[[], Ranker], announce: Callable[[Health], None] | None = None
    ) -> None:
        self._start = start
        self._announce = announce
        self._lock = threading.Lock()
        self._begun = False
        self._closed = False
        self._engine: Ranker | None = None
        self._failure: RetrieverError = Loading("The model is loading.", LOADING_RETRY_SECONDS)

    def begin(self) -> None:
        """Load on a thread that holds nobody up, the end of the process least of all."""
        threading.Thread(target=self._load_beside, name="loading", daemon=True).start()

    def load(self) -> None:
        """Load here and now, unless that was begun already; what failed is tried again.

        An `Unusable` is kept and served; what nobody foresaw is kept too, and raised.
        """
        with self._lock:
            begun, self._begun = self._begun, True
        if begun:
            return
        try:
            self._keep(self._start())
        except Unusable as unusable:
            self._fail(unusable)
        except BaseException as error:  # a SystemExit too: nobody is to wait for ever
            kind = type(error).__name__
            self._fail(Unusable(f"The model was not loaded: {kind}; the log says where."))
            raise
        finally:
            if self._announce is not None:
                self._announce(self.health())

    @property
    def engine(self) -> Ranker:
        """Raises `Loading` before it is there, `Unusable` when it will never be."""
        engine = self._engine  # read once: `close` may come from another thread
        if engine is None:
            raise self._failure
        return engine

    def health(self) -> Health:
        try:
            engine = self.engine
        except Loading as loading:
            return Health(status="loading", message=str(loading))
        except Unusable as unusable:
            return Health(status="unusable", message=str(unusable))
        return engine.health()

    def close(self) -> None:
        """An engine that arrives after this is closed at once."""
        with self._lock:
            self._closed = True
            engine, self._engine = self._engine, None
            self._failure = Loading("The server is stopping.", LOADING_RETRY_SECONDS)
        if engine is not None:
            engine.close()

    def _load_beside(self) -> None:
        try:
            self.load()
        except BaseException:  # `health` tells; no request was read yet: the trace quotes nobody
            logger.exception("the model was not loaded")

    def _keep(self, engine: Ranker) -> None:
        with self._lock:
            if not self._closed:
                self._engine = engine
                return
        engine.close()

    def _fail(self, failure: Unusable) -> None:
        with self._lock:
            self._begun = False
            if not self._closed:
                self._failure = failure
