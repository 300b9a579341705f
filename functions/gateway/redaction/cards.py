"""Payment card numbers: an issuer's prefix, its length, the grouping on a card, Luhn's check. Pure.

https://www.iso.org/standard/70484.html (ISO/IEC 7812-1), annex B for the check digit.
"""

import re
from collections.abc import Iterator

from gateway.redaction.base import Found

NUMBER = re.compile(
    r"(?<![\w.+/-])(?<!\d{4} )"
    r"(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{4,5}|\d{14,16}|62\d{17})"
    r"(?![\w/]|-\w|\.\d)"
)
ISSUED = re.compile(
    r"4\d{15}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|(?:6011|65\d\d|64[4-9]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}|62\d{17}"
)
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, the sum of its digits


def cards(text: str) -> Iterator[Found]:
    for match in NUMBER.finditer(text):
        digits = match[0].replace(" ", "").replace("-", "")
        if ISSUED.fullmatch(digits) and has_check_digit(digits):
            yield Found(match.start(), match.end(), "CARD")


def has_check_digit(digits: str) -> bool:
    """Whether the sum by Luhn is divisible by ten: every tenth number is."""
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[::2]) + sum(DOUBLED[digit] for digit in backwards[1::2])) % 10 == 0
