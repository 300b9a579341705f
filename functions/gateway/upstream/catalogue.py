"""The upstream's models: fetched, kept for a while, and served stale while the upstream is away.

An instance keeps its own copy. `refresh` stores one for all instances: for those that start while
the upstream errs, and for `facts`, which a turn asks for and which never asks the upstream.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.documents.base import Documents, Set, StoreUnavailable
from gateway.errors import GatewayError, UpstreamFailed
from gateway.upstream.base import Upstream, UpstreamRequest
from gateway.upstream.models import TOLD, ModelFacts, facts_of

FRESH_SECONDS = 300.0
RETRY_SECONDS = 30.0
PATH = "catalog/models"
SCHEMA = 1
LARGEST_BYTES = 800_000  # some upstreams describe hundreds of models at length
ESSENTIAL = frozenset({"id", "object", "created", "owned_by"}) | TOLD
STORED_SECONDS = 3600.0  # between two looks at the stored copy; the schedule renews it daily

Model = dict[str, Any]
NOTHING_KNOWN = ModelFacts()


@dataclass(frozen=True, slots=True)
class _Copy:
    models: list[Model]
    fetched_at: float


class Catalogue:
    def __init__(
        self, upstream: Upstream, documents: Documents, clock: Callable[[], float]
    ) -> None:
        self._upstream = upstream
        self._documents = documents
        self._clock = clock
        self._copy: _Copy | None = None
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()
        self._facts: dict[str, ModelFacts] = {}
        self._looked_at = -math.inf

    async def models(self) -> list[Model]:
        """At most `FRESH_SECONDS` old, older if the upstream errs. Raises its error without one.

        One request asks the upstream, once in `RETRY_SECONDS`; the others get what there is, and
        wait only where there is nothing yet.
        """
        if self._copy and (self._asking.locked() or not self._due(self._copy)):
            return self._copy.models
        async with self._asking:
            if self._copy and not self._due(self._copy):
                return self._copy.models
            self._asked_at = self._clock()
            try:
                return await self._fetched()
            except GatewayError:
                stale = self._copy.models if self._copy else await self._stored()
                if stale is None:
                    raise
                self._copy = self._copy or _Copy(stale, -math.inf)
                return stale

    async def facts(self, model: str) -> ModelFacts:
        """What the newest list at hand says of the model: at the most one read in an hour."""
        now = self._clock()
        own = self._copy is not None and now < self._copy.fetched_at + STORED_SECONDS
        if not own and now >= self._looked_at + STORED_SECONDS:
            self._looked_at = now
            if (stored := await self._stored()) is not None:
                self._learn(stored)
        return self._facts.get(model, NOTHING_KNOWN)

    def _learn(self, models: Sequence[Model]) -> None:
        self._facts = {
            id: facts_of(model) for model in models if isinstance(id := model.get("id"), str)
        }

    def _due(self, copy: _Copy) -> bool:
        now = self._clock()
        return now >= max(copy.fetched_at + FRESH_SECONDS, self._asked_at + RETRY_SECONDS)

    async def refresh(self, *, dry_run: bool = False) -> int:
        """Store the upstream's list; how many models it names."""
        models = await self._fetched()
        if not dry_run:
            fields = {"schema": SCHEMA, "fetched_at": self._clock(), "models": _packed(models)}
            await self._documents.commit(Set(PATH, fields))
        return len(models)

    async def _stored(self) -> list[Model] | None:
        try:
            found = (await self._documents.get(PATH))[0]
        except StoreUnavailable:
            return None
        if found is None or found.fields.get("schema") != SCHEMA:
            return None
        return list(orjson.loads(found.fields["models"]))

    async def _fetched(self) -> list[Model]:
        response = await self._upstream.send(
            UpstreamRequest("GET", "models", {"accept": "application/json"})
        )
        try:
            body = await response.read()
        finally:
            await response.close()
        if response.status != 200:
            raise UpstreamFailed(f"The upstream's model list answered {response.status}.")
        self._copy = _Copy(_parsed(body), self._clock())
        self._learn(self._copy.models)
        return self._copy.models


def _parsed(body: bytes) -> list[Model]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UpstreamFailed("The upstream's model list is not JSON.") from None
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, list):
        raise UpstreamFailed("The upstream's model list has another shape.")
    return [model for model in data if isinstance(model, dict)]


def _packed(models: Sequence[Model]) -> str:
    """As JSON text; what a document could not hold keeps of each model what OpenAI's API names."""
    text = orjson.dumps(models)
    if len(text) > LARGEST_BYTES:
        text = orjson.dumps(
            [{key: model[key] for key in ESSENTIAL & model.keys()} for model in models]
        )
    return text.decode()
