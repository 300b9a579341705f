"""The GPU tier over HTTP: one request a call, within the seconds it is given.

Whatever comes back is held against `retriever_contract`; all that can go wrong is a `Missing` with
one of the reasons that `x-memory-retriever` gives.
"""

import asyncio
import contextlib
import ipaddress
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from gateway.telemetry.record import trace_headers
from retriever_contract.wire import (
    STATUSES,
    ChunkScore,
    Facts,
    Failure,
    FailureCode,
    ForgetAnswer,
    ForgetRequest,
    PrefillAnswer,
    PrefillRequest,
    RankAnswer,
    RankRequest,
    Window,
)

MAX_ANSWER_BYTES = 2 * 1024 * 1024  # 4,096 scores with their ids are a quarter of it
NO_CLIENT_TIMEOUTS = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}
URL_RULE = "RETRIEVER_URL is lexical:, an https:// URL, or an http:// URL of this machine"

Reason = Literal[
    "small",
    "loading",
    "timeout",
    "unreachable",
    "overloaded",
    "too-large",
    "refused",
    "circuit-open",
    "invalid-answer",
    "failed",
]
REASONS: dict[FailureCode, Reason] = {
    "bad_request": "refused",
    "too_large": "too-large",
    "overloaded": "overloaded",
    "failed": "failed",
    "loading": "loading",
    "unusable": "failed",
    "deadline": "timeout",
}
BUSY: frozenset[FailureCode] = frozenset({"overloaded", "loading", "deadline"})
OF_STATUS: dict[int, Reason] = {
    408: "timeout",
    413: "too-large",
    429: "overloaded",
    504: "timeout",
}

Answer = TypeVar("Answer", bound=BaseModel)


class Missing(Exception):
    """There is no answer of the GPU tier. `broken`: it may be away, and is not just busy or right.

    `told`: the tier itself said so. One that says in time that it is late is there: it goes on
    reading what it was sent. `silent`: a connection was made, and then nothing came in time, which
    is lateness or worse. `embeds`: it said that it would embed what is beyond the windows.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        broken: bool = False,
        told: bool = False,
        silent: bool = False,
        embeds: bool = False,
    ) -> None:
        super().__init__(reason)
        self.embeds = embeds
        self.reason: Reason = reason
        self.broken = broken
        self.told = told
        self.silent = silent


class Tier:
    """`client` must follow no redirects, and try what could not be connected once more.

    The credential is that of Modal's proxy: https://modal.com/docs/guide/webhook-proxy-auth.
    """

    def __init__(
        self, url: str, client: httpx.AsyncClient, key: str = "", secret: str = ""
    ) -> None:
        self._base = endpoint(url)
        self.client = client
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            **_credential(key, secret),
        }

    async def rank(self, request: RankRequest, seconds: float) -> RankAnswer:
        """Scores for every chunk of the request in its order, for each of its queries."""
        answer = await self._ask("rank", request, RankAnswer, seconds)
        _check(request, answer)
        return answer

    async def prefill(self, request: PrefillRequest, seconds: float) -> PrefillAnswer:
        return await self._ask("prefill", request, PrefillAnswer, seconds)

    async def forget(self, request: ForgetRequest, seconds: float) -> ForgetAnswer:
        answer = await self._ask("forget", request, ForgetAnswer, seconds)
        if not 0 <= answer.horizon_seconds < math.inf:
            raise Missing("invalid-answer", broken=True)
        return answer

    async def _ask(
        self, path: str, request: BaseModel, kind: type[Answer], seconds: float
    ) -> Answer:
        outgoing = httpx.Request(
            "POST",
            f"{self._base}/v1/{path}",
            headers={**self._headers, **trace_headers()},
            content=request.model_dump_json().encode(),
            extensions={**NO_CLIENT_TIMEOUTS, "trace": (course := _Course())},
        )
        with _translated(course):
            async with asyncio.timeout(seconds):
                response = await self.client.send(outgoing, stream=True, follow_redirects=False)
                try:
                    body = await _bounded(response)
                finally:
                    await response.aclose()
        if not response.is_success:
            raise _refusal(response.status_code, body)
        try:
            return kind.model_validate_json(body)
        except ValidationError:
            raise Missing("invalid-answer", broken=True) from None


def endpoint(url: str) -> str:
    """The base of the tier's routes. Raises ValueError, without repeating what may hold a key."""
    try:
        parts = urlsplit(url.strip())
        httpx.URL(url.strip())
        host, _ = parts.hostname or "", parts.port
    except (httpx.InvalidURL, ValueError):
        raise ValueError(URL_RULE) from None
    local = parts.scheme == "http" and _is_loopback(host)
    if not host or not (parts.scheme == "https" or local):
        raise ValueError(URL_RULE)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("RETRIEVER_URL holds no credential, no query and no fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credential(key: str, secret: str) -> dict[str, str]:
    key, secret = key.strip(), secret.strip()
    if bool(key) != bool(secret):
        raise ValueError("MODAL_KEY and MODAL_SECRET belong together: set both or none")
    if not all(one.isascii() and one.isprintable() for one in (key, secret)):
        raise ValueError("MODAL_KEY or MODAL_SECRET holds a character that no header can carry")
    return {"modal-key": key, "modal-secret": secret} if key else {}


class _Course:
    """How far a request got; httpx calls it at each step
    (https://www.encode.io/httpcore/extensions/#trace)."""

    def __init__(self) -> None:
        self.connected = False

    async def __call__(self, step: str, _: Mapping[str, object]) -> None:
        self.connected = self.connected or step.endswith(".send_request_headers.started")


@contextlib.contextmanager
def _translated(course: _Course) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        silent = course.connected
        raise Missing("timeout", broken=not silent, silent=silent) from None
    except (httpx.HTTPError, OSError):
        raise Missing("unreachable", broken=True) from None


async def _bounded(response: httpx.Response) -> bytes:
    """The body as it came: nothing is unpacked, so that nothing small can become large."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise Missing("invalid-answer", broken=True)
    return bytes(body)


def _refusal(status: int, body: bytes) -> Missing:
    """What the contract's failure says; of anything else, such as a proxy's page, the status."""
    try:
        failure = Failure.model_validate_json(body)
    except ValidationError:
        failure = None
    if failure is not None and STATUSES[failure.code] == status:
        broken = status >= 500 and failure.code not in BUSY
        return Missing(REASONS[failure.code], broken=broken, told=True, embeds=failure.embeds)
    reason = OF_STATUS.get(status, "failed" if status >= 500 else "refused")
    return Missing(reason, broken=status >= 500)


def _check(request: RankRequest, answer: RankAnswer) -> None:
    """Raises `Missing` for scores of other chunks than were sent, or facts that are no numbers."""
    sent = _ids(request.windows)
    told = len(answer.scores) == len(request.queries) and all(
        _are_scores_of(sent, scores, part=request.partial) for scores in answer.scores
    )
    if not (told and _are_sound(answer.facts) and _is_embedded(request, answer)):
        raise Missing("invalid-answer", broken=True)


def _are_sound(facts: Facts) -> bool:
    """Whether scores from 0 to 1 can be added by these weights."""
    weight = facts.fusion_weight or 0.0
    alike = facts.embedding.weight if facts.embedding else 0.0
    return math.isfinite(facts.floor) and weight >= 0 and math.isfinite(1 + weight + alike)


def _is_embedded(request: RankRequest, answer: RankAnswer) -> bool:
    """Whether what it says of vectors, if anything, is of all that was sent."""
    if answer.embedded is None:
        return True
    sent = [*_ids(request.windows), *_ids(request.beyond)]
    return (
        answer.facts.embedding is not None
        and len(answer.embedded) == len(request.queries)
        and all(_are_scores_of(sent, scores) for scores in answer.embedded)
    )


def _are_scores_of(
    sent: Sequence[str], scores: Sequence[ChunkScore], *, part: bool = False
) -> bool:
    """Of all that was sent, in its order; of a part of it in that order where that will do."""
    told = [one.id for one in scores]
    if not part:
        return told == sent
    left = iter(sent)
    return all(id in left for id in told)


def _ids(windows: Sequence[Window]) -> list[str]:
    return [chunk.id for window in windows for chunk in window.chunks]


def scores_of(answer: RankAnswer) -> Mapping[str, float]:
    """Each chunk's score for the first query."""
    return {one.id: one.score for one in answer.scores[0]}


def likeness_of(answer: RankAnswer) -> Mapping[str, float]:
    """Each chunk's cosine to the first query; none where nothing was embedded, or not all yet."""
    return {one.id: one.score for one in (answer.embedded or [[]])[0]}
