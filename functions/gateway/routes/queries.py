"""What stands in a URL's query: moments, numbers, pages; and how a page is told."""

import re
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from gateway.errors import BadRequest
from gateway.routes.memory import epoch_of

MAX_PAGE = 100
PAGE_SIZE = re.compile(r"[0-9]{1,4}")
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
MOMENT = TypeAdapter(datetime)


def moment_of(request: Request, name: str) -> float | None:
    """Epoch seconds or an ISO 8601 date or time in the query; a date is its first moment, UTC."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        return epoch_of(MOMENT.validate_python(given))
    except ValidationError:
        raise BadRequest(f"'{name}' is a time in seconds or in ISO 8601.", param=name) from None


def page_of(request: Request) -> tuple[int, str | None]:
    """How many are wanted, and after which."""
    limit = request.query_params.get("limit", "50")
    if not PAGE_SIZE.fullmatch(limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise BadRequest(f"'limit' is a number from 1 to {MAX_PAGE}.", param="limit")
    return int(limit), request.query_params.get("after")


def numbered_page_of(request: Request) -> tuple[int, int | None]:
    limit, after = page_of(request)
    if after is None:
        return limit, None
    if not NUMBER.fullmatch(after):
        raise unknown_after()
    return limit, int(after)


def number_of(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if not NUMBER.fullmatch(given):
        raise BadRequest(f"'{name}' is a number from 1.", param=name)
    return int(given)


def paged(data: list[dict[str, Any]], more: str | None) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": more is not None, "next": more}


def unknown_after() -> BadRequest:
    return BadRequest("'after' is the 'next' of the page before.", param="after")
