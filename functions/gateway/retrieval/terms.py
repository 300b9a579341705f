"""Text as search terms, in any script. Pure.

Words are casefolded, stripped of accents and of English endings. Scripts that put no spaces between
words become character bigrams, as Lucene's CJKBigramFilter has it.
Other languages' words meet the English rules too: harmless, since questions meet the same.
"""

import re
import unicodedata

MAX_CHARACTERS = 100_000  # of one text; what lies beyond is not searched
MAX_WORD = 64  # longer ones (keys, base64) count by their beginning

# Python's \w lacks the vowel signs and other marks that stand inside words of many scripts.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0981-\u0df3"
    "\u0e31-\u0e4e\u0eb1-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_ASCII_WORDS = re.compile(r"[a-z0-9]+")
_WORDS = re.compile(rf"[\w{_MARKS}]+")
_PIECES = re.compile(rf"([{_UNSPACED}]+)|[^{_UNSPACED}]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")

_FUNCTION_WORDS = (
    "a am an and are as at be been being by d did do does don for from had has have he her his how"
    " i in is it its ll m me my of on or our re s she t that the their they this to ve was we"
    " were what when where which who why with you your"
)
_DROPPED = frozenset(_FUNCTION_WORDS.split())


def terms(text: str) -> list[str]:
    """The terms of `text` in their order, repeats kept. Time and size are linear in its length."""
    return [stem(word) if word.isascii() else word for word in words(text) if word not in _DROPPED]


def words(text: str) -> list[str]:
    """All words of `text`, folded but whole; none is dropped."""
    text = text[:MAX_CHARACTERS]
    found = _ASCII_WORDS.findall(text.lower()) if text.isascii() else _foreign_words(text)
    return [word[:MAX_WORD] for word in found]


def stem(word: str) -> str:
    """An ASCII word without plural, -ing, -ed, -ly and a last e.

    Shorter than Porter's algorithm and as good on the dialogues we measured (ARCHITECTURE.md).
    """
    word = _singular(word)
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = _single_last(word[: -len(ending)])
            break
    if len(word) > 3 and word[-1] == "e":
        return word[:-1]
    return word[:-1] + "y" if len(word) > 3 and word[-1] == "i" else word


def _singular(word: str) -> str:
    if len(word) < 4 or word[-1] != "s" or word.endswith(("ss", "us", "is")):
        return word
    return word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]


def _single_last(word: str) -> str:
    """`plann` as `plan`; `call` and `miss` stay."""
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
    return word[:-1] if doubled else word


def _foreign_words(text: str) -> list[str]:
    words: list[str] = []
    for run in _WORDS.findall(text.replace("_", " ")):
        if run.isascii():
            words.append(run.lower())
            continue
        for piece in _PIECES.finditer(_folded(run)):
            unspaced = piece[1]
            words.extend(_bigrams(unspaced) if unspaced else [piece[0]])
    return words


def _folded(run: str) -> str:
    """Case, accents, compatibility forms gone. In slices: NFKD is quadratic in a run of marks."""
    slices = (run[i : i + MAX_WORD] for i in range(0, len(run), MAX_WORD))
    return "".join(
        unicodedata.normalize(
            "NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", one).casefold())
        )
        for one in slices
    )


def _bigrams(piece: str) -> list[str]:
    return [piece[i : i + 2] for i in range(len(piece) - 1)] or [piece]
