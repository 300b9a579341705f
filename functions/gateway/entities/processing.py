"""A session made into staged operations: read, shown to the model, its answer staged."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from gateway.entities.asking import Said
from gateway.entities.commits import Commit
from gateway.entities.content import whole_milliseconds
from gateway.entities.proposals import Proposer
from gateway.entities.staged import Proposal, Staged
from gateway.entities.staging import Staging
from gateway.errors import BadRequest, TooLarge
from gateway.identity.base import Identity
from gateway.memory.log import MessageLog
from gateway.redaction.redaction import Redaction

MAX_CHARACTERS = 60_000
LISTENED_TO = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Session:
    """What is to be processed; without a `transcript` the stored messages of the session are.

    `date` (epoch seconds) becomes `valid_from`; None is that of the last message, or now.
    """

    id: str
    transcript: Sequence[Said] | None = None
    date: float | None = None


@dataclass(frozen=True, slots=True)
class Dated:
    session: str
    transcript: Sequence[Said]
    valid_from: float
    digest: str


class Processing:
    def __init__(
        self,
        log: MessageLog,
        proposer: Proposer,
        staging: Staging,
        now: Callable[[], float],
        redaction: Redaction | None = None,
    ) -> None:
        self._redaction = redaction or Redaction(enabled=False)
        self._log = log
        self._proposer = proposer
        self._staging = staging
        self._now = now

    async def process(self, caller: Identity, session: Session) -> Staged:
        """Raises what reading the session, asking the model and staging raise."""
        return await self._staged(caller, await self._dated(caller, session))

    async def process_and_commit(self, caller: Identity, session: Session) -> Commit:
        """The same session again is neither asked about nor committed again, unless what it was
        made for has moved before it was committed."""
        dated = await self._dated(caller, session)
        if not await self._stands(caller.owner, dated):
            await self._staged(caller, dated, once=True)
        return await self._staging.commit(caller.owner, session.id)

    async def _stands(self, owner: str, dated: Dated) -> bool:
        staged = await self._staging.find(owner, dated.session)
        if staged is None or staged.digest != dated.digest:
            return False
        return not await self._staging.moved(owner, staged)

    async def _staged(self, caller: Identity, dated: Dated, *, once: bool = False) -> Staged:
        proposed = await self._proposer.propose(
            caller, dated.session, dated.transcript, dated.valid_from
        )
        proposals = tuple(
            Proposal(f"op{number}", one) for number, one in enumerate(proposed.operations, start=1)
        )
        staged = Staged(
            session=dated.session,
            valid_from=dated.valid_from,
            epoch=proposed.epoch,
            digest=dated.digest,
            base=proposed.base,
            proposals=proposals,
        )
        return await self._staging.put(caller.owner, staged, once=once)

    async def _dated(self, caller: Identity, session: Session) -> Dated:
        transcript, date = session.transcript, session.date
        if transcript is None:
            transcript, last = await self._stored(caller.owner, session.id)
            date = last if date is None else date
        if not any(one.text.strip() for one in transcript):
            raise BadRequest("There is nothing said in this session.", param="memory_input")
        if sum(len(one.text) for one in transcript) > MAX_CHARACTERS:
            raise _too_large()
        transcript = await self._redacted(caller.owner, transcript)
        digest = _digest(session, transcript)
        valid_from = whole_milliseconds(self._now() if date is None else date)
        return Dated(session.id, transcript, valid_from, digest)

    async def _redacted(self, owner: str, transcript: Sequence[Said]) -> list[Said]:
        """What was stored before redaction was on is looked through too: facts are made of it."""
        redactor = await self._redaction.of(owner)
        await redactor.read([one.text for one in transcript])
        return [replace(one, text=redactor.text(one.text)) for one in transcript]

    async def _stored(self, owner: str, session: str) -> tuple[list[Said], float]:
        """Raises `TooLarge` for a session that is too long before all of it is read."""
        if (await self._log.load(owner, session)).head.tokens > MAX_CHARACTERS:
            raise _too_large()
        records = [
            one
            for one in await self._log.messages(owner, session)
            if one.rankable(self._now()) and one.role in LISTENED_TO
        ]
        said = [Said(one.role, one.content, one.id) for one in records]
        return said, max((one.at for one in records), default=self._now())


def _too_large() -> TooLarge:
    return TooLarge(
        f"A session of {MAX_CHARACTERS} characters can be processed at once; hand it in in parts.",
        param="memory_input",
        code="session_too_large",
    )


def _digest(session: Session, transcript: Sequence[Said]) -> str:
    """What a session is known by: its words and the date that was given, not the hour it came."""
    words = [session.id, session.date, [[one.role, one.text, one.id] for one in transcript]]
    return hashlib.sha256(orjson.dumps(words)).hexdigest()
