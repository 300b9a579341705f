"""Both kinds of store, their operations counted, for suites that hold on either."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.documents.base import Documents
from gateway.documents.firestore import FirestoreDocuments
from gateway.documents.metered import MeteredDocuments
from gateway.documents.sqlite import SqliteDocuments

KINDS = ("sqlite", "firestore")
PATIENCE_SECONDS = 20.0  # a loaded machine is no outage

sqlite_only = pytest.mark.parametrize("open_documents", ["sqlite"], indirect=True)
"""For what takes many commits and has nothing to do with how the store keeps them."""

Opener = Callable[[], MeteredDocuments]


def opener(request: pytest.FixtureRequest, kind: str, folder: Path, project: str) -> Opener:
    """Opens one more instance over the same store; starts the emulator if it is needed."""
    if kind == "sqlite":
        return lambda: MeteredDocuments(SqliteDocuments(str(folder / "memory.db")))
    host = request.getfixturevalue("emulator").host
    return lambda: MeteredDocuments(_firestore(project, host))


def _firestore(project: str, host: str) -> Documents:
    return FirestoreDocuments(project, emulator_host=host, hot_seconds=PATIENCE_SECONDS)
