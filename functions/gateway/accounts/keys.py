"""Keys made through the API, in the store: made, listed, changed, revoked.

A key's document decides about it and is found by its digest alone, in one read. The pointers
beneath a person's name make the list of their keys, so that nobody's list reads anybody else's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

from gateway.accounts.allowance import Allowance
from gateway.accounts.key import (
    KEY_ID,
    SECRET_BYTES,
    SHOWN_CHARACTERS,
    Key,
    Scope,
    digest_of,
    key_path,
    missing,
    pointers,
    secret_of,
)
from gateway.documents.base import (
    Conflict,
    Create,
    Delete,
    Document,
    Documents,
    Set,
    StoreUnavailable,
    Update,
    Write,
)
from gateway.documents.patience import Patience
from gateway.errors import Contested

MOST_KEYS = 100
USE_WRITTEN_SECONDS = 3600.0
AFTER_ALL = "~"  # sorts behind every digest that goes on here

Change = Callable[[Key], Key]


class Keys:
    def __init__(
        self, documents: Documents, clock: Callable[[], float], randomness: Random
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._randomness = randomness
        self._patience = Patience(randomness)

    async def create(
        self,
        subject: str,
        workspace: str,
        name: str,
        scopes: frozenset[Scope],
        valid_until: float | None,
        allowance: Allowance,
        created_by: str | None,
    ) -> tuple[Key, str]:
        """The key as it is kept, and the key itself, which nobody will see again.

        Raises `Contested` when the person has as many as there may be. Several made at once may
        pass that bound by as many.
        """
        now = self._clock()
        tidied = await self._tidied(subject, now)
        secret = secret_of(self._randomness.randbytes(SECRET_BYTES))
        made = Key(
            digest=digest_of(secret),
            name=name,
            prefix=secret[:SHOWN_CHARACTERS],
            subject=subject,
            workspace=workspace,
            scopes=scopes,
            created_at=now,
            valid_until=valid_until,
            created_by=created_by,
            allowance=allowance,
        )
        create = Create(made.path, made.packed(), made.listed_until)
        written = await self._documents.commit(create, _pointer(made), *tidied)
        return replace(made, version=written[0].version), secret

    async def mine(self, subject: str) -> list[Key]:
        """All of a person's, newest first; those that ended stay for a month. Two reads each."""
        now = self._clock()
        found = await self._pointers(subject)
        paths = [key_path(one.fields["digest"]) for one in found if not one.expired(now)]
        read = await self._documents.get(*paths) if paths else []
        keys = [Key.of(one) for one in read if one is not None]
        mine = [key for key in keys if key.subject == subject and key.listed(now)]
        return sorted(mine, key=lambda key: (-key.created_at, key.id))

    async def find(self, subject: str, id: str) -> Key:
        """Raises `NotFound` for one that is not the person's."""
        if not KEY_ID.fullmatch(id):
            raise missing()
        pointer = (await self._documents.get(f"{pointers(subject)}/{id}"))[0]
        if pointer is None:
            raise missing()
        document = (await self._documents.get(key_path(pointer.fields["digest"])))[0]
        key = Key.of(document) if document else None
        if key is None or key.subject != subject or not key.listed(self._clock()):
            raise missing()
        return key

    async def change(self, subject: str, id: str, change: Change) -> Key:
        """`change` may be called again, with what the key has become. Raises as `find` does."""
        return await self._changed(lambda: self.find(subject, id), change)

    async def revoke(self, subject: str, id: str) -> Key:
        """Once is as good as twice. Raises as `find` does."""
        return await self.change(subject, id, self._revoked)

    async def page(self, *, limit: int, after: str | None = None) -> tuple[list[Key], str | None]:
        """Everybody's, in the order of ids after the id `after`, and where the next page begins."""
        behind = f"{after.removeprefix('key_')}{AFTER_ALL}" if after else None
        found = await self._documents.list("keys", after=behind, limit=limit + 1)
        keys, now = [Key.of(one) for one in found[:limit]], self._clock()
        more = keys[-1].id if len(found) > limit else None
        return [key for key in keys if key.listed(now)], more

    async def revoke_any(self, id: str, *beside: Write) -> Key:
        """Anybody's, with `beside` in the same commit. Raises `NotFound`."""
        return await self._changed(lambda: self.find_any(id), self._revoked, *beside)

    async def find_any(self, id: str) -> Key:
        """Raises `NotFound`."""
        if not KEY_ID.fullmatch(id):
            raise missing()
        begins = id.removeprefix("key_")
        found = await self._documents.list("keys", after=begins, before=begins + AFTER_ALL, limit=1)
        if not found or not Key.of(found[0]).listed(self._clock()):
            raise missing()
        return Key.of(found[0])

    async def of_digest(self, digest: str) -> Key | None:
        """One read."""
        document = (await self._documents.get(key_path(digest)))[0]
        return Key.of(document) if document else None

    async def used(self, key: Key) -> Key:
        """Remember that it was used, once an hour: one write, which nothing hangs on."""
        now = self._clock()
        if key.last_used_at is not None and now < key.last_used_at + USE_WRITTEN_SECONDS:
            return key
        assert key.version is not None  # noqa: S101  it was read
        after = replace(key, last_used_at=now)
        try:
            update = Update(key.path, after.packed(), key.version, key.listed_until)
            written = await self._documents.commit(update)
        except (Conflict, StoreUnavailable):
            return key  # somebody else has written it, or the next use will
        return replace(after, version=written[0].version)

    def _revoked(self, key: Key) -> Key:
        return key if key.revoked_at is not None else replace(key, revoked_at=self._clock())

    async def _changed(
        self, find: Callable[[], Awaitable[Key]], change: Change, *beside: Write
    ) -> Key:
        """By compare-and-set. `beside` is written even where nothing is left to change."""
        tries = self._patience.tries("The key")
        while True:
            before = await find()
            after = change(before)
            if after == before and not beside:
                return before
            assert before.version is not None  # noqa: S101  it was read
            update = Update(after.path, after.packed(), before.version, after.listed_until)
            try:
                written = await self._documents.commit(update, _pointer(after), *beside)
                return replace(after, version=written[0].version)
            except Conflict:
                await tries.pause()

    async def _tidied(self, subject: str, now: float) -> list[Delete]:
        """What removes pointers whose time is over. Raises `Contested` when the list is full."""
        found = await self._pointers(subject)
        over = [one for one in found if one.expired(now)]
        if len(found) - len(over) >= MOST_KEYS:
            raise Contested(
                f"A person has {MOST_KEYS} keys at most; those revoked count for a month.",
                code="too_many_keys",
            )
        return [Delete(one.path) for one in over]

    async def _pointers(self, subject: str) -> list[Document]:
        return await self._documents.list(pointers(subject), limit=2 * MOST_KEYS)


def _pointer(key: Key) -> Write:
    return Set(f"{pointers(key.subject)}/{key.id}", {"digest": key.digest}, key.listed_until)
