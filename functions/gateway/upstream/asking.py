"""An upstream asked, with what became of it noted for the log line and the metrics."""

from gateway.errors import UpstreamFailed, UpstreamTimedOut
from gateway.telemetry.record import current
from gateway.upstream.base import Upstream, UpstreamRequest, UpstreamResponse


async def asked(upstream: Upstream, request: UpstreamRequest) -> UpstreamResponse:
    """As `Upstream.send`. Where one request of a caller's asks several times, the last is told."""
    record = current()
    try:
        response = await upstream.send(request)
    except (UpstreamFailed, UpstreamTimedOut) as error:
        late = isinstance(error, UpstreamTimedOut)
        record.upstream_error = "timeout" if late else "unreachable"
        raise
    record.upstream_status, record.upstream_error = response.status, ""
    return response
