"""Which session a request belongs to, and which of its messages that session has already."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from random import Random

from gateway.chat.wire import INSTRUCTIONS, Message, text_of, tool_ids
from gateway.documents.base import Documents
from gateway.memory import fingerprints
from gateway.memory.alignment import Alignment, align
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head
from gateway.memory.log import MessageLog
from gateway.memory.records import content_hash, owner_path, session_path

COMPARED_CHARACTERS = 2_000
SESSION_BITS = 80


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message of the request that is no instruction, with its place there and its hash."""

    position: int
    message: Message
    hash: str

    @property
    def role(self) -> str:
        return str(self.message["role"])


def spoken(owner: str, messages: Sequence[Message]) -> list[Spoken]:
    return [
        Spoken(i, message, hash_of(owner, message))
        for i, message in enumerate(messages)
        if message["role"] not in INSTRUCTIONS
    ]


def hash_of(owner: str, message: Message) -> str:
    return content_hash(owner, str(message["role"]), text_of(message), tool_ids(message))


def aligned(said: Sequence[Spoken], head: Head) -> Alignment:
    stored = {record.id: record.content for record in head.tail}

    def similar(index: int, id: str) -> float:
        ours, theirs = stored.get(id, ""), text_of(said[index].message)
        return _alike(ours[:COMPARED_CHARACTERS], theirs[:COMPARED_CHARACTERS])

    return align(
        [(one.role, one.hash) for one in said],
        head.log,
        earlier_in_log=head.earlier_in_log,
        similar=similar,
    )


def fingerprint_of(owner: str, said: Sequence[Spoken]) -> str | None:
    """The fingerprint of a conversation's beginning: its first question and the answer to it."""
    for question, answer in pairwise(said):
        if question.role == "user":
            if answer.role != "assistant":
                return None
            return fingerprints.fingerprint(owner, question.hash, answer.hash)
    return None


class Threads:
    def __init__(self, documents: Documents, log: MessageLog, randomness: Random) -> None:
        self._documents = documents
        self._log = log
        self._randomness = randomness

    async def find(self, owner: str, session: str | None, said: Sequence[Spoken]) -> Loaded:
        """The session named, the one whose beginning is resent, or a new one."""
        if session is not None:
            return await self._log.load(owner, session)
        fingerprint = fingerprint_of(owner, said)
        if fingerprint is None:
            return await self._log.load(owner, self._new_session())
        return await self._by_fingerprint(owner, fingerprint, said)

    async def _by_fingerprint(self, owner: str, fingerprint: str, said: Sequence[Spoken]) -> Loaded:
        found = await self._documents.get(owner_path(owner), fingerprints.path(owner, fingerprint))
        state, names = self._log.kept.owner(found[0]).readable(), fingerprints.sessions(found[1])
        paths = [session_path(owner, name) for name in names]
        documents = await self._documents.get(*paths) if paths else []
        heads = [
            self._log.kept.head(document, name)
            for name, document in zip(names, documents, strict=True)
            if document is not None
        ]
        if not heads:
            return Loaded(state, Head(session=self._new_session()))
        return Loaded(state, max(heads, key=lambda head: _likeness(said, head)))

    def _new_session(self) -> str:
        return f"s{self._randomness.getrandbits(SESSION_BITS):020x}"


def _likeness(said: Sequence[Spoken], head: Head) -> tuple[int, int]:
    """How well a session fits what is resent: most messages matched, then fewest left over."""
    alignment = aligned(said, head)
    active = sum(entry.active for entry in head.log)
    return len(alignment.matched), len(alignment.matched) - active


def _alike(a: str, b: str) -> float:
    matcher = SequenceMatcher(None, a.split(), b.split(), autojunk=False)
    return matcher.ratio()
