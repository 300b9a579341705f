"""What is looked at, and how: each in the cheapest way that still tells. None wakes a GPU."""

from typing import Protocol

from gateway.documents.base import Documents
from gateway.health.base import Sighting, State, Unwell
from gateway.retrieval.base import Standing
from gateway.upstream.base import Upstream, UpstreamRequest

MARKER = "catalog/models"  # there or not: being answered is what counts
KEY_REFUSED = frozenset({401, 403})


class DocumentsProbe:
    """One read."""

    name = "documents"
    required = True

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def look(self) -> Sighting:
        await self._documents.get(MARKER)
        return Sighting()


class UpstreamProbe:
    """The list of models, which costs no tokens. An upstream without one is there all the same."""

    name = "upstream"
    required = True

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def look(self) -> Sighting:
        request = UpstreamRequest("GET", "models", {"accept": "application/json"})
        response = await self._upstream.send(request)
        await response.close()
        if response.status in KEY_REFUSED:
            raise Unwell(f"refuses the key ({response.status})")
        if response.status >= 500:
            raise Unwell(f"answers {response.status}")
        return Sighting()


class Certificates(Protocol):
    async def ready(self) -> bool: ...


class CertificatesProbe:
    """Whether an ID token could be judged now. Not `required` where nobody signs in with one."""

    name = "certificates"

    def __init__(self, certificates: Certificates, *, in_use: bool) -> None:
        self._certificates = certificates
        self.required = in_use

    async def look(self) -> Sighting:
        if not self.required:
            return Sighting("unknown", "Google sign-in is not configured", asked=False)
        if not await self._certificates.ready():
            raise Unwell("none could be fetched")
        return Sighting()


class Ranks(Protocol):
    def standing(self) -> Standing: ...


class RetrieverProbe:
    """What is known of the GPU tier from the calls there were: asking would start a container.

    Not `required`: shared words rank without it.
    """

    name = "retriever"
    required = False

    def __init__(self, ranker: Ranks) -> None:
        self._ranker = ranker

    async def look(self) -> Sighting:
        standing = self._ranker.standing()
        states: dict[bool | None, State] = {True: "healthy", False: "unhealthy", None: "unknown"}
        return Sighting(
            states[standing.reachable],
            standing.detail,
            standing.answer_seconds,
            standing.heard_at,
            asked=False,
        )
