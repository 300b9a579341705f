"""A model's answer as JSON of one shape: validated whole, or refused whole. Pure."""

import re
from typing import TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

REASON = 300
FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)

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
    fenced = FENCED.match(text)
    try:
        return shape.model_validate(orjson.loads(fenced[1] if fenced else text))
    except orjson.JSONDecodeError:
        raise InvalidAnswer("It is not JSON.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidAnswer(f"{first['msg']} at {place or 'the top'}."[:REASON]) from None
