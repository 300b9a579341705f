"""Logging as this process does it: whatever any logger says leaves as one line of ours.

Frameworks bring handlers, formats and tracebacks of their own. Here their handlers are taken away,
and a logger that is made later has none to give: its records reach the root alone.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import TextIO

from gateway.telemetry.lines import Formatter

QUIET = ("httpx", "httpcore")  # they log every URL and every step of a connection
SILENT = ("uvicorn.access", "gunicorn.access")  # a line of each request, beside ours

logger = logging.getLogger("gateway.process")


class Handler(logging.StreamHandler[TextIO]):
    """A line that cannot be made is told of by its place: the standard library would print what
    was to be logged."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        error = type(sys.exc_info()[1]).__name__
        told = f'{{"severity":"ERROR","event":"log_failed","error":"{error}"}}\n'
        try:
            self.stream.write(told)
        except (OSError, ValueError):
            return


class Gathered(logging.Logger):
    """A logger whose records go to the root's handlers, whatever handlers it is given."""

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        logging.getLogger().callHandlers(record)


def install(level: str, project: str) -> None:
    """At the process's start, and again once the server runs: it has made loggers since."""
    handler = Handler(sys.stderr)
    handler.setFormatter(Formatter(project))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.setLoggerClass(Gathered)
    for name in list(root.manager.loggerDict):
        _gathered(logging.getLogger(name))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:  # uvicorn asks whether there is a handler, and then makes no record
        logging.getLogger(name).propagate = False
        logging.getLogger(name).disabled = True
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _gathered(one: logging.Logger) -> None:
    one.handlers.clear()
    one.propagate = True


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("the process ends", exc_info=(kind, error, trace))


def _uncaught_in_thread(hooked: threading.ExceptHookArgs) -> None:
    if hooked.exc_value is not None:
        logger.error("a thread has ended", exc_info=hooked.exc_value)


def _unraisable(hooked: "sys.UnraisableHookArgs") -> None:
    if hooked.exc_value is not None:
        logger.error("an error nobody could catch", exc_info=hooked.exc_value)
