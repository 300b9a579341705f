"""Telephone numbers: international ones, North American ones as they are written, and whatever a
word for a telephone stands before.

Google's libphonenumber says of an international number whether it can be one
(https://github.com/daviddrysdale/python-phonenumbers). It is read at the first that comes: half a
second that most processes never need.
"""

import re
from collections.abc import Iterator

from gateway.redaction.base import Found
from gateway.redaction.folding import folded

ENDS = r"(?!\w|-\w|\.\d|[/:]\d)"
INTERNATIONAL = re.compile(
    r"(?<![\w.+/-])\+[1-9]\d{0,3}(?:[ .\-/]?(?:\(\d{1,5}\)|\d{1,14})){1,7}" + ENDS
)
NORTH_AMERICAN = re.compile(
    r"(?:\([2-9]\d\d\) ?[2-9]\d\d[ .-]\d{4}|[2-9]\d\d([.-])[2-9]\d\d\1\d{4})" + ENDS
)
NAME = re.compile(
    r"phone|tel|tél|mob|m[óo]vil|cell|fax|whats ?app|sms|(?:call|text|reach) me (?:at|on)|handy"
    r"|portable|电话|手机|電話"
)
AFTER_NAME = re.compile(
    r"\w{0,10}(?:[ _](?:number|num|no|nr|nummer))?(?: (?:is|ist|es|est))?[\"'.:=# ]{1,4}"
    r"(\(?\d{2,5}\)?(?:[ .\-/]{0,2}\d{2,5}){1,5}|\d{7,15})" + ENDS
)
SHORTEST, LONGEST = 7, 15  # digits: the longest by ITU-T E.164
NO_NUMBER = re.compile(r"\+(?:\d{1,20}\.\d{1,20}|(?:19|20)\d\d-\d\d-\d\d)")
DATE = re.compile(r"(?:19|20)\d\d-\d\d-\d\d")
TRUNK = "1"  # before an area code


def phone_numbers(text: str) -> Iterator[Found]:
    if "+" in text:
        for match in INTERNATIONAL.finditer(text):
            if not NO_NUMBER.fullmatch(match[0]) and _exists(match[0]):
                yield Found(match.start(), match.end(), "PHONE")
    for match in NORTH_AMERICAN.finditer(text):
        if (start := _beginning(text, match.start())) is not None:
            yield Found(start, match.end(), "PHONE")
    yield from _named(text)


def _named(text: str) -> Iterator[Found]:
    small = folded(text)
    for name in NAME.finditer(small):
        if small[name.start() - 1 : name.start()].isalnum() and name[0] != "phone":
            continue
        match = AFTER_NAME.match(small, name.end())
        digits = sum(map(str.isdigit, match[1])) if match else 0
        if match and SHORTEST <= digits <= LONGEST and not DATE.match(match[1]):
            yield Found(match.start(1), match.end(1), "PHONE")


def _beginning(text: str, start: int) -> int | None:
    """Where a number with this area code begins; None inside something else."""
    if text[max(0, start - 2) : start - 1] == TRUNK and text[start - 1] in " .-":
        start -= 2
    before = text[start - 1 : start] if start else ""
    return None if before.isalnum() or before in set("_.+/-") else start


def _exists(number: str) -> bool:
    """In groups it may be of a range that is not given out; digits alone must be of one that is."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    if number[1:].isdigit():
        return phonenumbers.is_valid_number(parsed)
    return phonenumbers.is_possible_number(parsed)
