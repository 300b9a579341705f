"""Reading entities: as they were at a date, as far as was known on one. Writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.documents.base import Document, Documents
from gateway.entities.cards import Card, Index, card_of
from gateway.entities.commits import Commit
from gateway.entities.content import Content, missing
from gateway.entities.paths import (
    commit_id,
    commit_path,
    commits_path,
    entity_path,
    index_path,
    is_entity,
    version_path,
)
from gateway.entities.versions import History, Mark
from gateway.errors import NotFound
from gateway.memory.heads import Owner
from gateway.memory.records import owner_path


@dataclass(frozen=True, slots=True)
class Books:
    """The owner's document and the index, read at once."""

    owner: Owner
    index: Index


@dataclass(frozen=True, slots=True)
class View:
    """An entity as it was at `as_of`, as far as the version of `mark` knew."""

    id: str
    mark: Mark
    content: Content
    history: History
    as_of: float
    known_at: float | None = None

    @property
    def valid_to(self) -> float | None:
        return self.history.valid_to(self.mark, self.known_at)


class Register:
    def __init__(self, documents: Documents, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._clock = clock

    async def books(self, owner: str) -> Books:
        """Raises `Contested` while the memory is being erased."""
        root = owner_path(owner)
        found = await self._documents.get(root, index_path(root))
        return Books(Owner.of(found[0]).readable(), Index.of(found[1]))

    async def get(
        self, owner: str, id: str, *, as_of: float | None = None, known_at: float | None = None
    ) -> View:
        """Raises `NotFound` for what is not there, was not yet or was no more, or is another's."""
        history = await self.history(owner, id)
        moment = self.moment(as_of, history.marks[-1].recorded_at)
        mark = history.known(known_at)
        if mark is None:
            raise missing()
        view = View(id, mark, await self.content(owner, id, mark.number), history, moment, known_at)
        if not view.content.stands_at(moment):
            raise missing()
        return view

    async def history(self, owner: str, id: str) -> History:
        """Of an ended entity too. Raises `NotFound`."""
        if not is_entity(id):
            raise missing()
        root = owner_path(owner)
        found = await self._documents.get(root, entity_path(root, id))
        Owner.of(found[0]).readable()
        history = History.of(found[1])
        if not history.marks:
            raise missing()
        return history

    async def histories(self, owner: str, ids: Sequence[str]) -> dict[str, History]:
        """By entity, in that order; those that are not there have no marks."""
        root = owner_path(owner)
        found = await self._documents.get(*(entity_path(root, id) for id in ids)) if ids else []
        return {id: History.of(document) for id, document in zip(ids, found, strict=True)}

    async def content(self, owner: str, id: str, number: int) -> Content:
        """Of one version. Raises `NotFound`."""
        found = await self.contents(owner, {id: number})
        if id not in found:
            raise NotFound("The entity has no such version.", code="version_not_found")
        return found[id]

    async def contents(self, owner: str, numbers: Mapping[str, int]) -> dict[str, Content]:
        """Of these versions, by entity; what an erasure took meanwhile is left out."""
        found = await self.versions(owner, list(numbers.items()))
        return {id: content for (id, _), content in found.items()}

    async def versions(
        self, owner: str, versions: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], Content]:
        """Of these entities' versions of these numbers; what is not there is left out."""
        root = owner_path(owner)
        paths = [version_path(root, id, number) for id, number in versions]
        found = await self._documents.get(*paths) if paths else []
        pairs = zip(versions, found, strict=True)
        return {version: content_of(document) for version, document in pairs if document}

    async def cards(
        self,
        owner: str,
        *,
        limit: int,
        after: str | None = None,
        as_of: float | None = None,
        known_at: float | None = None,
    ) -> tuple[list[Card], str | None]:
        """Cards of the entities that stood at `as_of`, by id, and where the next page begins.

        One read; where a `known_at` has to be looked up two more for each card of the page, which
        then may tell of fewer entities than `limit`.
        """
        index = (await self.books(owner)).index
        moment = self.moment(as_of, index.recorded_at)
        cards = [index.cards[id] for id in sorted(index.cards) if after is None or id > after]
        if known_at is None:
            cards = [card for card in cards if card.stands_at(moment)]
        page = cards[:limit]
        more = page[-1].id if len(cards) > limit else None
        if known_at is not None:
            known = await self._known(owner, page, known_at)
            page = [card for card in known if card.stands_at(moment)]
        return page, more

    async def commits(self, owner: str, *, limit: int, before: int | None = None) -> list[Commit]:
        """The newest first; `before` leaves out that one and all after it."""
        root = owner_path(owner)
        Owner.of((await self._documents.get(root))[0]).readable()
        found = await self._documents.list(
            commits_path(root),
            before=None if before is None else commit_id(before),
            limit=limit,
            newest_first=True,
        )
        return [Commit.of(one) for one in found]

    async def committed(self, owner: str, sequence: int) -> Commit:
        """One commit of the log. Raises `NotFound`."""
        root = owner_path(owner)
        found = await self._documents.get(root, commit_path(root, sequence))
        Owner.of(found[0]).readable()
        if found[1] is None:
            raise NotFound("No such commit.", code="commit_not_found")
        return Commit.of(found[1])

    def moment(self, as_of: float | None, recorded_at: float) -> float:
        """Now, where none is given; never before what is recorded, whoever's clock said so."""
        return max(self._clock(), recorded_at) if as_of is None else as_of

    async def _known(self, owner: str, cards: Sequence[Card], known_at: float) -> list[Card]:
        histories = await self.histories(owner, [card.id for card in cards])
        known = ((id, history.known(known_at)) for id, history in histories.items())
        marks = {id: mark for id, mark in known if mark is not None}
        contents = await self.contents(owner, {id: mark.number for id, mark in marks.items()})
        return [
            card_of(id, contents[id], mark.number, mark.recorded_at)
            for id, mark in marks.items()
            if id in contents
        ]


def content_of(document: Document) -> Content:
    return Content.unpacked(document.fields["content"])
