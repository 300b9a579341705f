"""Secrets without a shape of their own, by the name that they are given: `api_key = "..."`,
`password: ...`, `Authorization: Bearer ...`, `--token ...`. Pure.

The name makes it likely, how random the value looks decides: code is full of such names whose
values are other names, calls, placeholders and numbers.
"""

import re
from collections.abc import Iterator

from gateway.redaction.base import Found
from gateway.redaction.entropy import bits, changes
from gateway.redaction.folding import folded

NAME = re.compile(
    r"(?:api|access|account|shared|signing|encryption|private)[_-]?key|secret|token"
    r"|passwo?r?d|pwd|passphrase|credential"
)
BEFORE = re.compile(r"[A-Za-z0-9_-]{0,64}\Z")
ASSIGNED = re.compile(
    r"([A-Za-z0-9_-]{0,48}+)"
    r"(?:[\"'`\]]{0,2}[ \t]{0,8}(?::=|=>|==?|:)[ \t]{0,8}"
    r"|[ \t]{1,4}(?:is|=)[ \t]{1,4}|[ \t](?=\S{20}))"
    r"([\"'`]{0,3})((?:(?!&\w{1,40}=)[^\s\"'`,;<>(){}\[\]|\\]){8,256})"
)
CARRIED = re.compile(r"\b(?:bearer|basic)[ \t]{1,4}[A-Za-z0-9._~+/=-]{16,2048}", re.IGNORECASE)
OF_SOMETHING_ELSE = re.compile(
    r"hash|digest|checksum|sha\d|md5|etag|public|csrf|nonce|(?:^|_)id$|ids$|name$|type$|(?:^|[_-])count|page"
    r"|next|cursor|continuation|limit|length|budget|usage|file$|path$|url$|uri$|endpoint",
    re.IGNORECASE,
)
STRONG = re.compile(r"key|secret|passw|pwd|passphrase|credential", re.IGNORECASE)
PLACEHOLDER = re.compile(
    r"[$%{<*#@&]|\[REDACTED|.{0,12}(?:your|example|placeholder|change-?_?me|dummy|xxxx|\*\*\*|test)|.{0,250}\.\.",
    re.IGNORECASE,
)
HEXADECIMAL = re.compile(r"(?:0x)?[0-9a-f]{8,256}", re.IGNORECASE)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
A_NAME = re.compile(r"[A-Za-z_$][\w$]{0,80}(?:(?:\.|->|::)[A-Za-z_$][\w$]{0,80}){0,8}")
NUMERIC = re.compile(r"[\d.,:eE+/xX_-]{1,256}")
FEWEST_BITS = 2.75  # of a password of eight characters, seven of them different
FEWEST_BITS_UNQUOTED = 3.2
LONG_VALUE = 64  # characters: names inside a longer one are not looked at again
LONG, OF_WORDS = 16, 0.2  # characters; a long one of words and a number changes less
OF_LETTERS = 0.4  # changes, of letters alone drawn at random: every second one
OF_A_NAME = 0.3  # changes; what code calls things has less


def named(text: str) -> Iterator[Found]:
    small, looked_at = folded(text), 0
    for keyword in NAME.finditer(small):
        match = ASSIGNED.match(text, keyword.end()) if keyword.start() >= looked_at else None
        if match is None:
            continue
        if len(match[3]) > LONG_VALUE:
            looked_at = match.end(3)
        start = keyword.start()
        if "::" in text[max(0, start - 32) : start]:  # a type's name
            continue
        before = BEFORE.search(text[max(0, start - 64) : start])
        name = (before[0] if before else "") + keyword[0] + match[1]
        value = match[3] if match[3].endswith("..") else match[3].rstrip(".:!?")
        if _is_secret(name, match[2], value):
            yield Found(match.start(3), match.start(3) + len(value), "API_KEY")
    if "bearer" in small or "basic" in small:
        yield from _carried(text)


def _carried(text: str) -> Iterator[Found]:
    for match in CARRIED.finditer(text):
        start = match.start() + len(re.match(r"\w+\s+", match[0])[0])  # type: ignore[index]  # it begins so
        value = text[start : match.end()].rstrip(".=")
        if any(map(str.isdigit, value)) and changes(value) >= OF_A_NAME and not UUID.match(value):
            yield Found(start, match.end(), "API_KEY")


def _is_a_name(value: str, quote: str) -> bool:
    bare = not quote and ("." in value or len(value) < LONG)
    return bare or changes(value) < OF_A_NAME


def _is_secret(name: str, quote: str, value: str) -> bool:
    if len(value) < 8 or OF_SOMETHING_ELSE.search(name) or PLACEHOLDER.match(value):
        return False
    if UUID.fullmatch(value) or NUMERIC.fullmatch(value):
        return False
    if HEXADECIMAL.fullmatch(value):
        return len(value) >= 16 and bool(STRONG.search(name))
    if not any(map(str.isalpha, value)):
        return False
    if not any(map(str.isdigit, value)):
        return bool(quote and STRONG.search(name)) and changes(value) >= OF_LETTERS
    if A_NAME.fullmatch(value) and _is_a_name(value, quote):
        return False
    if len(value) >= LONG and changes(value) < OF_WORDS:
        return False
    return bits(value) >= (FEWEST_BITS if quote else FEWEST_BITS_UNQUOTED)
