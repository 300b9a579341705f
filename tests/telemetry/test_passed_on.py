"""The caller's trace reaches the GPU tier as it does the upstream, and nothing else of theirs."""

import pytest

from gateway.retrieval.tier import Missing, Tier
from gateway.telemetry.record import Record, recording
from gateway.telemetry.tracecontext import TraceContext
from gateway.upstream.openai import make_client, pool_use
from retriever_contract.wire import ForgetRequest
from support.upstream import Answer, LoopbackUpstream

HEADER = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(("context", "passed"), [(HEADER, HEADER), ("", None)])
async def test_the_gpu_tier_is_told_of_the_trace(context: str, passed: str | None) -> None:
    record = Record(context=TraceContext("a" * 32, "b" * 16, True, context))
    with LoopbackUpstream() as gpu:
        gpu.default = lambda _: Answer.json({})
        async with make_client() as client:
            with recording(record), pytest.raises(Missing):
                await Tier(gpu.origin, client).forget(ForgetRequest(owner="a" * 64, epoch=1), 5.0)
            use = pool_use(client)
        assert gpu.requests[0].headers.get("traceparent") == passed
        assert use is not None
        assert (use.active, use.idle) == (0, 1)
