"""The sweep of a process that runs for long and that no scheduler calls."""

import logging
from collections.abc import Awaitable, Callable

import orjson

from gateway.errors import Contested
from gateway.retention.sweep import Sweep, kind_of

PAUSE_SECONDS = 60.0

logger = logging.getLogger("gateway.retention")


async def sweep_regularly(
    sweep: Sweep, every_seconds: float, sleep: Callable[[float], Awaitable[object]]
) -> None:
    """Sweep whenever `every_seconds` have passed since the last whole round, until cancelled.

    The store keeps when that was, so that restarts and other processes on the same file change
    nothing. A failure is logged and tried again; the service does not notice.
    """
    while True:
        try:
            await sleep(await sweep.due_in_seconds(every_seconds))
            await sweep.run()
        except Contested:
            pass  # another process is at it
        except Exception as error:
            line = {"event": "sweep_failed", "severity": "ERROR", "error": kind_of(error)}
            logger.error(orjson.dumps(line).decode())
        await sleep(PAUSE_SECONDS)
