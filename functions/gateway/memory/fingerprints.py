"""Pointers that find a session again from the beginning of a resent conversation.

The key is a keyed hash of the first question and its answer; the system message has no part in it.
Sessions that begin alike share a pointer, the newest first; alignment tells them apart.
"""

from gateway.documents.base import Create, Delete, Document, Update, Write
from gateway.memory import upgrades
from gateway.memory.records import content_hash, owner_path
from gateway.memory.upgrades import SCHEMA

MAX_SESSIONS = 8


def fingerprint(owner: str, question_hash: str, answer_hash: str) -> str:
    return content_hash(owner, "fingerprint", question_hash, (answer_hash,))


def path(owner: str, fingerprint: str) -> str:
    return f"{owner_path(owner)}/fingerprints/{fingerprint}"


def sessions(pointer: Document | None) -> list[str]:
    return list(upgrades.current(pointer, "fingerprint")["sessions"]) if pointer else []


def pointing(path: str, pointer: Document | None, *named: str) -> Write:
    """The write that makes the pointer name `named` first."""
    others = [one for one in sessions(pointer) if one not in named]
    fields = {"schema": SCHEMA, "sessions": [*named, *others][:MAX_SESSIONS]}
    return Create(path, fields) if pointer is None else Update(path, fields, pointer.version)


def without(path: str, pointer: Document | None, session: str) -> Write:
    """The write that makes the pointer forget `session`."""
    others = [one for one in sessions(pointer) if one != session]
    if pointer is None or not others:
        return Delete(path, pointer.version if pointer else None)
    return Update(path, {"schema": SCHEMA, "sessions": others}, pointer.version)
