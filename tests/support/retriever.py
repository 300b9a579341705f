"""A scripted GPU tier on loopback: `retriever_contract` over HTTP, or anything else a test plays.

with LoopbackRetriever(attends_to="Rex") as retriever:
    retriever.queue(failure("loading"), path="rank")
    ...  # point the code under test at retriever.origin
    assert retriever.asked("rank")[0].json["queries"] == ["What is my dog called?"]
"""

from typing import Any

from retriever_contract.wire import STATUSES, FailureCode
from support.upstream import Answer, Json, LoopbackUpstream, Recorded

HORIZON_SECONDS = 300.0
ALIKE = "alike"  # what a tier with an embedding finds in a text
EMBEDDING = {"model": "letters", "weight": 1.5, "floor": 0.5}


class LoopbackRetriever(LoopbackUpstream):
    """Scores 1 what holds the words of `attends_to`, 0 everything else, unless an answer is queued
    for `rank`, `prefill` or `forget`. `facts` are those of its answers."""

    def __init__(self, attends_to: str = "", *, port: int = 0, **facts: Any) -> None:
        super().__init__(self._answered, port=port)
        self.attends_to = attends_to
        self.facts = facts_of(**facts)

    def asked(self, path: str) -> list[Recorded]:
        return [one for one in self.requests if one.path.endswith(f"/v1/{path}")]

    def _answered(self, request: Recorded) -> Answer:
        if request.path == "/v1/rank":
            return Answer.json(self.ranking(request))
        if request.path == "/v1/prefill":
            return Answer.json({"version": 1, "windows": len(request.json["windows"])}, 202)
        if request.path == "/v1/forget":
            told = {"version": 1, "windows": 1, "horizon_seconds": HORIZON_SECONDS}
            return Answer.json(told)
        return Answer.json({"detail": "Not Found"}, 404)

    def ranking(self, request: Recorded) -> Json:
        """An answer as it should be; tests break it from there."""
        chunks = chunks_of(request)
        scores = [
            {
                "id": one["id"],
                "score": float(bool(self.attends_to and self.attends_to in one["text"])),
            }
            for one in chunks
        ]
        work = {"tokens": 100, "tokens_cached": 60, "windows": 1, "seconds": 0.01}
        answer = {"version": 1, "facts": self.facts, "scores": [scores], "work": work}
        if "embedding" not in self.facts:
            return answer
        return {**answer, "embedded": [self._likened([*chunks, *beyond_of(request)])]}

    def _likened(self, chunks: list[Json]) -> list[Json]:
        return [{"id": one["id"], "score": float(ALIKE in one["text"])} for one in chunks]


def facts_of(**changed: Any) -> Json:
    return {
        "model": "loopback",
        "adapter": None,
        "profile": "0" * 16,
        "window_tokens": 2000,
        "floor": 0.5,
        "fusion_weight": None,
        **changed,
    }


def chunks_of(request: Recorded) -> list[Json]:
    return [chunk for window in request.json["windows"] for chunk in window["chunks"]]


def beyond_of(request: Recorded) -> list[Json]:
    return [chunk for window in request.json.get("beyond", ()) for chunk in window["chunks"]]


def texts_of(request: Recorded) -> list[str]:
    return [chunk["text"] for chunk in chunks_of(request)]


def failure(code: FailureCode, status: int | None = None) -> Answer:
    told = {"version": 1, "code": code, "message": "Scripted.", "retry_after_seconds": None}
    return Answer.json(told, STATUSES[code] if status is None else status)


def proxy_refusal() -> Answer:
    """What Modal's proxy says to a request without its key: no contract, and not even JSON."""
    return Answer(401, {"content-type": "text/plain"}, b"modal-http: missing credentials")
