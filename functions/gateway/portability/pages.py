"""A collection of documents, however large, a page at a time."""

from collections.abc import AsyncIterator

from gateway.documents.base import Document, Documents


async def pages(documents: Documents, collection: str, size: int) -> AsyncIterator[Document]:
    """`size` documents are held at once."""
    after, more = None, True
    while more:
        page = await documents.list(collection, after=after, limit=size)
        for document in page:
            yield document
        more = len(page) == size
        after = page[-1].id if page else None
