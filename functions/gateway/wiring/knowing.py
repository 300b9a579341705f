"""What is known beside messages: entities and their history, staging, contexts."""

from starlette.routing import Route

from gateway.consulting.model import Cost, Model
from gateway.context.context import Context
from gateway.context.orchestrated import Orchestration
from gateway.documents.patience import Patience
from gateway.entities.editor import Editor
from gateway.entities.ledger import Ledger
from gateway.entities.processing import Processing
from gateway.entities.proposals import Proposer
from gateway.entities.register import Register
from gateway.entities.removal import Removal
from gateway.entities.reversals import Reversals
from gateway.entities.staging import Staging
from gateway.routes.context import ContextRoutes
from gateway.routes.entities import EntityRoutes
from gateway.routes.histories import HistoryRoutes
from gateway.routes.orchestrated import OrchestratedRoutes
from gateway.routes.staging import StagingRoutes
from gateway.wiring.parts import Parts


def knowing(parts: Parts) -> list[Route]:
    register = Register(parts.documents, parts.clock)
    model = _model(parts)
    return [*_entities(parts, register, model), *_contexts(parts, register, model)]


def _model(parts: Parts) -> Model:
    named = parts.settings.memory_model

    async def pricing() -> Cost | None:
        prices = (await parts.models.known(named)).prices
        return None if prices is None else lambda prompt, answer: prices.cost(prompt, 0, answer)

    return Model(parts.upstream, parts.limiter, parts.tokenizer, named, pricing)


def _entities(parts: Parts, register: Register, model: Model) -> list[Route]:
    clock, randomness = parts.clock, parts.randomness
    patience = Patience(randomness)
    ledger = Ledger(parts.documents, register, clock, patience)
    staging = Staging(parts.documents, register, ledger, clock, patience)
    proposer = Proposer(register, model, clock, randomness)
    entities = EntityRoutes(
        parts.door,
        register,
        Removal(parts.documents, register, patience),
        Editor(register, ledger, clock, randomness, parts.redaction),
        limiter=parts.limiter,
        max_body_bytes=parts.settings.max_body_bytes,
    )
    sessions = StagingRoutes(
        parts.door,
        register,
        Reversals(register, ledger, clock, patience),
        staging,
        Processing(parts.log, proposer, staging, clock, parts.redaction),
        limiter=parts.limiter,
        max_body_bytes=parts.settings.max_body_bytes,
    )
    return [*entities.routes(), *HistoryRoutes(parts.door, register).routes(), *sessions.routes()]


def _contexts(parts: Parts, register: Register, model: Model) -> list[Route]:
    settings = parts.settings
    context = ContextRoutes(
        parts.door,
        Context(register, parts.search, parts.newest, parts.tokenizer.count, parts.clock),
        limiter=parts.limiter,
        budget=settings.memory_token_budget,
        max_body_bytes=settings.max_body_bytes,
    )
    orchestrated = OrchestratedRoutes(
        parts.door,
        Orchestration(parts.search, model),
        limiter=parts.limiter,
        flags=parts.flags,
        max_body_bytes=settings.max_body_bytes,
    )
    return [*context.routes(), *orchestrated.routes()]
