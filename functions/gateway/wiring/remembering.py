"""Messages, sessions, items, receipts; search; workspaces; export, import and erasure."""

from starlette.routing import Route

from gateway.documents.patience import Patience
from gateway.entities.restoration import EntityRestoration
from gateway.memory.receipts import Receipts
from gateway.memory.restoration import Restoration
from gateway.memory.unarchiving import Unarchiving
from gateway.portability.erasure import Erasure
from gateway.portability.export import Export
from gateway.routes.archive import ArchiveRoutes
from gateway.routes.erasure import erasure_routes
from gateway.routes.export import export_routes
from gateway.routes.imports import ImportRoutes
from gateway.routes.items import ItemRoutes
from gateway.routes.memory import MemoryRoutes
from gateway.routes.messages import MessageRoutes
from gateway.routes.receipts import receipt_routes
from gateway.routes.search import SearchRoutes
from gateway.routes.sessions import SessionRoutes
from gateway.routes.workspaces import WorkspaceRoutes
from gateway.search.rebuilding import Rebuilding
from gateway.search.status import Status
from gateway.wiring import options
from gateway.wiring.parts import Parts


def remembering(parts: Parts) -> list[Route]:
    days = parts.settings.backup_retention_days
    erasure = Erasure(parts.documents, parts.ranker, parts.clock, days)
    return [
        *_messages(parts),
        *_sessions(parts),
        *receipt_routes(parts.door, Receipts(parts.documents)),
        *_search(parts),
        *_workspaces(parts, erasure),
        *_portability(parts, erasure),
    ]


def _messages(parts: Parts) -> list[Route]:
    settings = parts.settings
    memory = MemoryRoutes(
        parts.door,
        parts.intake,
        parts.tokenizer,
        parts.clock,
        limiter=parts.limiter,
        max_body_bytes=settings.max_body_bytes,
        max_message_characters=settings.max_message_characters,
        redaction=parts.redaction,
    )
    messages = MessageRoutes(
        parts.door,
        parts.edits,
        parts.archived,
        parts.search,
        parts.clock,
        max_body_bytes=settings.max_body_bytes,
        max_message_characters=settings.max_message_characters,
        redaction=parts.redaction,
    )
    items = ItemRoutes(
        parts.door,
        parts.intake,
        parts.edits,
        parts.archived,
        parts.newest,
        parts.tokenizer,
        parts.clock,
        limiter=parts.limiter,
        max_body_bytes=settings.max_body_bytes,
        max_message_characters=settings.max_message_characters,
        redaction=parts.redaction,
    )
    return [*memory.routes(), *messages.routes(), *items.routes()]


def _sessions(parts: Parts) -> list[Route]:
    limit = parts.settings.max_body_bytes
    unarchiving = Unarchiving(parts.documents, parts.archived, parts.clock, parts.randomness)
    return [
        *SessionRoutes(parts.door, parts.log, parts.search, limit).routes(),
        *ArchiveRoutes(parts.door, parts.archived, unarchiving).routes(),
    ]


def _search(parts: Parts) -> list[Route]:
    searching = SearchRoutes(
        parts.door,
        parts.search,
        Status(parts.documents, parts.library, parts.clock),
        Rebuilding(parts.documents, parts.library, parts.ranker, parts.randomness),
        limiter=parts.limiter,
        max_body_bytes=parts.settings.max_body_bytes,
    )
    return searching.routes()


def _workspaces(parts: Parts, erasure: Erasure) -> list[Route]:
    members = WorkspaceRoutes(
        parts.door,
        parts.workspaces,
        erasure,
        limiter=parts.limiter,
        max_body_bytes=parts.settings.max_body_bytes,
    )
    return members.routes()


def _portability(parts: Parts, erasure: Erasure) -> list[Route]:
    documents, clock, settings = parts.documents, parts.clock, parts.settings
    randomness, archive = parts.randomness, options.archive_seconds(settings)
    patience = Patience(randomness)
    imports = ImportRoutes(
        parts.door,
        lambda owner: Restoration(documents, clock, randomness, owner, archive),
        lambda owner: EntityRestoration(documents, clock, patience, owner),
        parts.tokenizer,
        clock,
        limiter=parts.limiter,
        max_import_bytes=settings.max_import_bytes,
        redaction=parts.redaction,
    )
    return [
        *export_routes(parts.door, Export(documents, options.kept(settings))),
        *imports.routes(),
        *erasure_routes(parts.door, erasure),
    ]
