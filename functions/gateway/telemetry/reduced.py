"""What a log may tell of an error and of a message that others wrote: kinds and places.

An error's text may quote a prompt, a header or a row; so may a line that a framework made of a
traceback. What remains is where it happened, which the source explains.
"""

import itertools
import linecache
import logging
import re
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType

MOST_PLACES = 8
MOST_CAUSES = 4
MOST_CALLERS = 3
TRACEBACK = "Traceback (most recent call last):"

_PLACE = re.compile(r'^ *(?:[|+-] *)*File "([^"\n]+)", line (\d+), in ([\w.<>]+)', re.MULTILINE)
_KIND = re.compile(r"^(?:[|+-] *)* *((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?::|$)")


def described(error: BaseException) -> str:
    """The error's kind and where it arose; never its message, which may quote what was sent."""
    found = list(_places(error.__traceback__))
    return f"{type(error).__name__} at {found[-1] if found else ''}"


def told_of(error: BaseException) -> dict[str, object]:
    """As fields: the kinds, from the error to what caused it, and the error's innermost places."""
    kinds: list[str] = []
    one = error
    while len(kinds) < MOST_CAUSES:
        kinds.append(type(one).__name__)
        following = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if following is None:
            break
        one = following
    return {"error": kinds[0], "causes": kinds[1:], "places": _last(_places(error.__traceback__))}


def told_of_text(text: str) -> dict[str, object]:
    """Of a traceback that somebody has made text of already."""
    lines = text[text.index(TRACEBACK) :].splitlines()
    kinds = [match[1] for line in lines if (match := _KIND.match(line)) and line != TRACEBACK]
    places = (f"{file}:{line} {name}" for file, line, name in _PLACE.findall(text))
    return {"error": kinds[-1] if kinds else "unknown", "places": _last(places)}


def constant(record: logging.LogRecord) -> tuple[str, str | None]:
    """Where a record was made, and its message where that stands word for word in the source of
    who made it: no data can. What its arguments would have said is left out.

    Frameworks wrap the standard library's loggers, so the nearest callers are looked at.
    """
    said = record.msg if isinstance(record.msg, str) and record.msg.strip() else None
    for frame, line in _callers():
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        source = "".join(linecache.getlines(file))
        if said is not None and (f'"{said}"' in source or f"'{said}'" in source):
            return f"{file}:{line} {name}", said
    return f"{record.pathname}:{record.lineno} {record.funcName}", None


def _callers() -> Iterator[tuple[FrameType, int]]:
    """Of the logger that is at work."""
    outside = (
        one
        for one in traceback.walk_stack(None)
        if one[0].f_globals.get("__name__", "").partition(".")[0] != "logging"
        and not one[0].f_globals.get("__name__", "").startswith("gateway.telemetry")
    )
    return itertools.islice(outside, MOST_CALLERS)


def _places(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield f"{code.co_filename}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next


def _last(places: Iterator[str]) -> list[str]:
    return list(places)[-MOST_PLACES:]
