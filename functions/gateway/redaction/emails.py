"""E-mail addresses. Pure.

Code is full of `@`: decorators, matrix products, `git@host:path`, `package@1.2.3`, systemd units.
What is no address there has no top-level domain of those below (of two letters, all that there are
and will be), or names a repository.
"""

import re
from collections.abc import Iterator

from gateway.redaction.base import Found


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Of some 1,400 generic domains those in whose addresses nearly all mail is sent. None of them is
# the name of an attribute or a suffix of files that often follows an `@` in code.
GENERIC = _set_of(
    "academy agency app art bank biz blog center cloud club com company coop design dev digital edu"
    " email engineering example finance foundation gov group health info int jobs law legal"
    " life live ltd mail media mil mobi museum name net news online org page post pro school"
    " services shop site social software solutions store studio systems team tech"
    " test today tools travel university ventures website wiki work world xyz zone"
)
ADDRESS = re.compile(
    r"(?<![\w.+%-])[\w+%-][\w.+%-]{0,63}@(?:[^\W_](?:[^\W_]|-){0,62}\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
OF_A_REPOSITORY = frozenset({"git", "hg", "svn"})


def emails(text: str) -> Iterator[Found]:
    if "@" not in text:
        return
    for match in ADDRESS.finditer(text):
        local, _, domain = match[0].partition("@")
        if _is_top_level(domain.rpartition(".")[2]) and local not in OF_A_REPOSITORY:
            yield Found(match.start(), match.end(), "EMAIL")


def _is_top_level(label: str) -> bool:
    if not label.isascii():
        return True
    return label in {label.lower(), label.upper()} and (len(label) == 2 or label.lower() in GENERIC)
