"""Removing an entity with all its versions for good. The log of commits holds none of its text."""

from gateway.documents.base import Conflict, Delete, Documents
from gateway.documents.patience import Patience
from gateway.entities.content import missing
from gateway.entities.ledger import guard
from gateway.entities.paths import entity_path, index_path, is_entity
from gateway.entities.register import Books, Register
from gateway.memory.records import owner_path
from gateway.memory.storage import saved

PAGE = 100


class Removal:
    def __init__(self, documents: Documents, register: Register, patience: Patience) -> None:
        self._documents = documents
        self._register = register
        self._patience = patience

    async def erase(self, owner: str, id: str) -> None:
        """Interrupted, the same call goes on. Raises `NotFound`, `Contested` under a legal hold."""
        if not is_entity(id):
            raise missing()
        root = owner_path(owner)
        tries = self._patience.tries()
        while True:
            books = await self._register.books(owner)
            books.owner.erasable()
            if id not in books.index.cards:
                if await self._delete_tree(root, id) or tries.failed:
                    return
                raise missing()
            if await self._unlisted(root, books, id):
                await self._delete_tree(root, id)
                return
            await tries.pause()

    async def _unlisted(self, root: str, books: Books, id: str) -> bool:
        """Off the index, from where nothing leads to it; False when another writer was first."""
        index = books.index.without(id)
        writes = [
            guard(root, books.owner),
            saved(index_path(root), index.packed(), index.version),
            Delete(entity_path(root, id)),
        ]
        try:
            await self._documents.commit(*writes)
        except Conflict:
            return False
        return True

    async def _delete_tree(self, root: str, id: str) -> int:
        total = 0
        while deleted := await self._documents.delete_tree(entity_path(root, id), limit=PAGE):
            total += deleted
        return total
