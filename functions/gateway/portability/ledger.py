"""The entities of one person as lines of an export: the log of commits, then every version.

The index says up to which commit and which versions is told. Commits and versions never change, so
that all of it is as it was at one moment, whatever is recorded meanwhile.
"""

from collections.abc import AsyncIterator
from dataclasses import astuple, replace
from typing import Any

from gateway.documents.base import Documents
from gateway.entities.cards import Card, Index
from gateway.entities.commits import Commit
from gateway.entities.paths import commits_path, entity_path, index_path
from gateway.portability.facts import told_commit, told_version
from gateway.portability.pages import pages

COMMITS = 32  # held at once
VERSIONS = 8  # held at once: one may take 160 KiB

Line = dict[str, Any]


async def ledger_lines(documents: Documents, root: str) -> AsyncIterator[Line]:
    """`root` is the owner's path."""
    index = Index.of((await documents.get(index_path(root)))[0])
    if not index.commits:
        return
    async for document in pages(documents, commits_path(root), COMMITS):
        commit = Commit.of(document)
        if (commit.sequence or 0) > index.commits:
            break
        yield told_commit(_as_of(commit, index))
    for id in sorted(index.cards):
        async for line in _entity(documents, root, index.cards[id]):
            yield line


async def _entity(documents: Documents, root: str, card: Card) -> AsyncIterator[Line]:
    yield {"type": "entity", **_card(card)}
    async for document in pages(documents, f"{entity_path(root, card.id)}/versions", VERSIONS):
        if document.fields["number"] > card.version:
            return
        yield told_version(card.id, document)


def _card(card: Card) -> Line:
    """As in the index: `version` is the last one, `statements` counts those without an end."""
    names = card.__dataclass_fields__
    return dict(zip(names, astuple(card), strict=True))


def _as_of(commit: Commit, index: Index) -> Commit:
    """What reverted it later is not told of."""
    later = commit.reverted_by is not None and commit.reverted_by > index.commits
    return replace(commit, reverted_by=None) if later else commit
