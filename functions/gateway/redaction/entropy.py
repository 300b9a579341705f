"""How random a string looks. Pure.

Shannon's entropy alone does not tell a key from a long name: English words put together have some 4
bits a character too. What does is how often the kind of character changes from one to the next:
of letters and digits drawn at random three times in five, in `CamelCaseNames2` once in five.
"""

from collections import Counter
from itertools import pairwise
from math import log2

# Of random characters from 62, runs of 20 change as often as this with a probability of 0.98.
CHANGES = 0.38
FEWEST_DIGITS = 0.04


def bits(text: str) -> float:
    """Shannon's entropy of its characters, in bits for each."""
    counts = Counter(text).values()
    return -sum(n / len(text) * log2(n / len(text)) for n in counts) if text else 0.0


def changes(text: str) -> float:
    """How many of its neighbouring letters and digits are of two kinds: upper, lower, digit."""
    kinds = [_kind(one) for one in text if one.isalnum()]
    pairs = list(pairwise(kinds))
    return sum(a != b for a, b in pairs) / len(pairs) if pairs else 0.0


def looks_random(text: str) -> bool:
    """Upper and lower case and digits, mixed as chance mixes them. False of hexadecimal."""
    digits = sum(one.isdigit() for one in text)
    mixed = any(map(str.isupper, text)) and any(map(str.islower, text))
    return mixed and digits >= FEWEST_DIGITS * len(text) and changes(text) >= CHANGES


def _kind(one: str) -> int:
    return 0 if one.isdigit() else 1 if one.isupper() else 2
