"""How much of Firestore's mebibyte a document takes.

As https://firebase.google.com/docs/firestore/storage-size counts fields; the document's name and
its fixed 32 bytes are a few hundred more at most.
"""

from collections.abc import Mapping
from typing import Any

LARGEST_DOCUMENT = 900 * 1024


def firestore_bytes(value: Any) -> int:
    match value:
        case None | bool():
            return 1
        case int() | float():
            return 8
        case str():
            return len(value.encode()) + 1
        case Mapping():
            return sum(firestore_bytes(name) + firestore_bytes(one) for name, one in value.items())
        case list() | tuple():
            return sum(map(firestore_bytes, value))
        case _:
            raise TypeError(type(value).__name__)
