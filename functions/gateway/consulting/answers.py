"""A model's answer as JSON of one shape: validated whole, or refused whole. Pure."""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

REASON = 300
FENCE = "```"

Shape = TypeVar("Shape", bound=BaseModel)


class InvalidAnswer(Exception):
    """`reason` says what is wrong, without the answer's text: it goes back to the model."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Strict(BaseModel):
    """What an answer is made of: no field beside those named, nothing turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


def parsed(text: str, shape: type[Shape]) -> Shape:
    """The answer, with or without a fence around it. Raises `InvalidAnswer`."""
    try:
        return shape.model_validate(orjson.loads(_unfenced(text)))
    except orjson.JSONDecodeError:
        raise InvalidAnswer("It is not JSON.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidAnswer(f"{first['msg']} at {place or 'the top'}."[:REASON]) from None


def _unfenced(text: str) -> str:
    """What stands between the fence's two lines; all of it where there is no fence.

    By whole lines and not by a pattern: one that may take line ends here or there needs time that
    grows with their cube, and a model can be talked into writing thousands of them.
    """
    opening, line_end, rest = text.strip().partition("\n")
    inside, closing_line_end, closing = rest.rpartition("\n")
    opened = opening.rstrip() in {FENCE, f"{FENCE}json"}
    if opened and line_end and closing_line_end and closing.strip() == FENCE:
        return inside
    return text
