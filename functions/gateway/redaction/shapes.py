"""Keys that their issuers have given a shape, so that they can be told. Pure.

After https://docs.github.com/code-security/secret-scanning and the issuers' own pages. Where a
shape alone would take words for keys (`sk-fading-circle`), what follows the prefix has to look
random too.
"""

import base64
import re
import string
from collections.abc import Iterator

from gateway.redaction.base import Found
from gateway.redaction.entropy import looks_random

LONGEST_KEY = 4096  # characters; tokens that carry claims are the longest
SHORTEST_BLOCK = 40  # less between the two marks is talk about them
LONGEST_BLOCK = 16_384
TOKEN = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{16,}+")
SURE = re.compile(
    r"(?:AKIA|ASIA)[A-Z2-7]{16}|AIza[\w-]{35}|GOCSPX-[\w-]{28}|gh[pousr]_[A-Za-z0-9]{36,255}"
    r"|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{40,80}|glpat-[\w-]{20,64}|gl(?:ptt|rt|dt|sa)[_-][\w-]{20,64}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{20,250}|xapp-[A-Za-z0-9-]{20,250}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9]{24,64}|sq0(?:atp|csp)-[\w-]{22,64}"
    r"|sk-(?:proj|svcacct|admin|ant-[a-z]{3,5}\d\d|or-v\d)-[\w-]{24,255}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"
    r"|hf_[A-Za-z0-9]{34,40}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,255}|dckr_pat_[\w-]{27,36}"
    r"|do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|key-[a-f0-9]{32}|SK[a-f0-9]{32}"
    r"|gsk_[A-Za-z0-9]{48,56}|xai-[A-Za-z0-9]{70,90}|nvapi-[\w-]{60,80}|pplx-[A-Za-z0-9]{40,60}|r8_[A-Za-z0-9]{37,40}"
    r"|lin_api_[A-Za-z0-9]{40}|ntn_[A-Za-z0-9]{40,60}|ATATT3[\w-]{60,250}|tskey-[a-z]{3,8}-[A-Za-z0-9-]{20,80}"
    r"|(?:SG|sg)[A-Za-z0-9_-]{64}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}|rubygems_[a-f0-9]{48}|mk_[A-Za-z0-9_-]{32,80}"
)
MAYBE = re.compile(r"(?:sk|ak|as|wk|ws|rk|pk|pat|key|api|secret|token)[-_]([\w-]{20,200})")
DOTTED = re.compile(
    r"(?<![\w-])(?:SG\.[\w-]{16,32}\.[\w-]{16,64}|ya29\.[\w-]{20,300}|hv[sbr]\.[\w-]{24,300}"
    r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{16,1000})"
)
BOT = re.compile(r"(?<![\w:-])\d{8,10}:AA[\w-]{33}(?![\w-])")
WEBHOOK = re.compile(
    r"hooks\.slack\.com/services/T\w{6,14}/B\w{6,14}/(\w{20,40})"
    r"|discord(?:app)?\.com/api/webhooks/\d{15,22}/([\w-]{60,80})"
)
IN_A_URL = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]{0,64}:([^\s/:@\"'<>{}$]{3,128})@[\w\[]"
)
BLOCK = re.compile(r"-----BEGIN (?:[A-Z0-9]{2,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
REST_OF_BLOCK = re.compile(r"(?:\s|\\n|[\"'+,]){0,12}[A-Za-z0-9+/=]{16,76}")
STAND_INS = re.compile(r"x{4}|\*{3}|\.{3}|your|pass(?:word|wd)?$|changeme|example", re.IGNORECASE)
UNBROKEN = 32  # characters: of a run without a name or a prefix
LONGEST_UNBROKEN = 128  # a longer one is data
WORD = 12  # characters: names that code puts together have shorter ones
LINES_OF_DATA = {64, 76}  # characters: of PEM and of MIME
BESIDE_DATA = frozenset("+/=%.:")


def shapes(text: str) -> Iterator[Found]:
    yield from _tokens(text)
    for pattern in (DOTTED, BOT):
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), "API_KEY")
    if "://" in text or "hooks" in text:
        yield from _in_addresses(text)
    if "PRIVATE KEY" in text:
        yield from _blocks(text)


def _tokens(text: str) -> Iterator[Found]:
    for match in TOKEN.finditer(text):
        start, end = match.span()
        if end - start > LONGEST_KEY:
            continue
        token = match[0]
        if SURE.fullmatch(token) or _maybe(token) or _unbroken(text, start, end):
            yield Found(start, end, "API_KEY")


def _maybe(token: str) -> bool:
    match = MAYBE.fullmatch(token)
    return match is not None and looks_random(match[1])


def _unbroken(text: str, start: int, end: int) -> bool:
    """A long random run that stands alone: base64, digests and addresses have other neighbours."""
    if not UNBROKEN <= end - start <= LONGEST_UNBROKEN:
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    if not BESIDE_DATA.isdisjoint({before, after}):
        return False
    if end - start in LINES_OF_DATA and before == after == "\n":
        return False
    token = text[start:end]
    if token.count("-") + token.count("_") > len(token) // WORD:
        return False
    return looks_random(token) and not _is_encoded_text(token)


def _is_encoded_text(token: str) -> bool:
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), validate=True)
    except ValueError:
        return False
    return all(byte in string.printable.encode() for byte in decoded)


def _in_addresses(text: str) -> Iterator[Found]:
    for match in WEBHOOK.finditer(text):
        group = match.lastindex or 0
        yield Found(match.start(group), match.end(group), "API_KEY")
    for match in IN_A_URL.finditer(text):
        if not STAND_INS.match(match[1]):
            yield Found(match.start(1), match.end(1), "API_KEY")


def _blocks(text: str) -> Iterator[Found]:
    """To the end of a private key; of one that is cut short, as far as its lines go."""
    for match in BLOCK.finditer(text):
        closing = text.find("-----END", match.end(), match.end() + LONGEST_BLOCK)
        if closing < 0:
            yield Found(match.start(), _end_of_lines(text, match.end()), "API_KEY")
        elif closing - match.end() >= SHORTEST_BLOCK:
            end = text.find("-----", closing + 8, closing + 60)
            yield Found(match.start(), end + 5 if end >= 0 else closing + 8, "API_KEY")


def _end_of_lines(text: str, start: int) -> int:
    end = start
    while (line := REST_OF_BLOCK.match(text, end)) and end - start < LONGEST_BLOCK:
        end = line.end()
    return end
