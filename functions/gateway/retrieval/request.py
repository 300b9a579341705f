"""What the tier is sent: an owner's digest, windows, a query. Pure."""

import hashlib
from collections.abc import Sequence

from gateway.retrieval.base import Question
from gateway.retrieval.windows import readable
from retriever_contract.wire import (
    MAX_QUERY_CHARACTERS,
    ForgetRequest,
    PrefillRequest,
    RankRequest,
    Window,
)


def rank_request(question: Question, windows: Sequence[Window], seconds: float) -> RankRequest:
    """Of a long query the end is sent: a question tends to follow what it is about."""
    query = readable(question.query)[-MAX_QUERY_CHARACTERS:]
    return RankRequest(
        owner=owner_key(question.owner),
        epoch=question.epoch,
        windows=list(windows),
        queries=[query],
        deadline_milliseconds=max(1, int(1000 * seconds)),
    )


def naming_all(request: RankRequest, beyond: Sequence[Window]) -> RankRequest:
    """For a tier that embeds: what is `beyond` the windows too, and a part will do."""
    return request.model_copy(update={"beyond": list(beyond), "partial": True})


def prefill_request(owner: str, epoch: int, windows: Sequence[Window]) -> PrefillRequest:
    return PrefillRequest(owner=owner_key(owner), epoch=epoch, windows=list(windows))


def forget_request(owner: str, epoch: int) -> ForgetRequest:
    return ForgetRequest(owner=owner_key(owner), epoch=epoch)


def owner_key(owner: str) -> str:
    """An owner's name at the tier: a digest, and not the one that names their documents."""
    named = b"memory-ops/retriever-owner/" + owner.encode("utf-8", "surrogatepass")
    return hashlib.sha256(named).hexdigest()
