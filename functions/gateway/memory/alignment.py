"""Which messages of a request the log has already. Pure.

Clients send only what is new, or the whole conversation every time, or some of it. Both sides are
compared as sequences of keyed content hashes (`records.content_hash`):

- what the request resends is matched and never stored again;
- a resent message that *differs* forks: the log's version and what followed it leave the branch;
- *missing* messages (a truncated history, a second device) change nothing;
- the same question asked again supersedes its answer;
- a message of an abandoned branch that is resent takes its branch up again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

MAX_COMPARED = 1024
OFTEN = 4  # times that one text recurs in a log
MAX_RECURRING = 256
SAME_QUESTION_RATIO = 0.6


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the head's log: a message's hash and id; inactive ones are on another branch."""

    hash: str
    id: str
    role: str
    active: bool = True
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Alignment:
    """`matched` maps request index to message id; `new` lists request indexes to store."""

    matched: dict[int, str] = field(default_factory=dict)
    new: list[int] = field(default_factory=list)
    forked: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)

    @property
    def resent(self) -> bool:
        return bool(self.matched)


def align(
    request: Sequence[tuple[str, str]],
    log: Sequence[Entry],
    *,
    earlier_in_log: bool = False,
    similar: Callable[[int, str], float] = lambda _index, _id: 0.0,
) -> Alignment:
    """Align `request`, pairs of (role, hash) without system messages, with the session's `log`.

    `earlier_in_log`: the session has older messages than `log` lists, so that unmatched messages
    before the first match count as resent. `similar(index, id)` says how alike (0..1) a request's
    message and a stored one are; an edit of the latest question looks alike, a second device's new
    question does not.
    """
    if len(request) == 1:  # alone, it is a new one, were it said before or not
        return Alignment(new=[0])
    first = max(0, len(request) - MAX_COMPARED)
    window = list(request[first:])
    active = [entry for entry in log if entry.active]
    pairs = _match(window, active)
    if not pairs:
        return Alignment(new=list(range(len(request))))
    result = Alignment(matched={first + i: active[j].id for i, j in pairs})
    _sort_out_unmatched(result, window, first, active, log, pairs, earlier_in_log)
    _branch_at_the_end(result, window, first, active, pairs, similar)
    return result


def _match(window: Sequence[tuple[str, str]], active: Sequence[Entry]) -> list[tuple[int, int]]:
    """Pairs of positions that hold the same message, both rising. Linear where all is resent."""
    theirs = [hash for _, hash in window]
    ours = [entry.hash for entry in active]
    same = next((i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), None)
    first = min(len(theirs), len(ours)) if same is None else same
    rest = _match_rest(theirs[first:], ours[first:])
    return [*((i, i) for i in range(first)), *((first + i, first + j) for i, j in rest)]


def _match_rest(theirs: Sequence[str], ours: Sequence[str]) -> list[tuple[int, int]]:
    """Blocks first, as a person would see it; where a text recurs often, blocks take quadratic time
    and more, and a longest common subsequence of the newest messages does."""
    if max(Counter(ours).values(), default=0) <= OFTEN:
        blocks = SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks()
        return [(b.a + k, b.b + k) for b in blocks for k in range(b.size)]
    skipped_a, skipped_b = (max(0, len(one) - MAX_RECURRING) for one in (theirs, ours))
    found = _common_subsequence(theirs[skipped_a:], ours[skipped_b:])
    return [(skipped_a + i, skipped_b + j) for i, j in found]


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        above, row = lengths[i], lengths[i + 1]
        for j in range(len(b)):
            row[j + 1] = above[j] + 1 if a[i] == b[j] else max(above[j + 1], row[j])
    pairs, i, j = [], len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _sort_out_unmatched(
    result: Alignment,
    window: Sequence[tuple[str, str]],
    first: int,
    active: Sequence[Entry],
    log: Sequence[Entry],
    pairs: Sequence[tuple[int, int]],
    earlier_in_log: bool,
) -> None:
    """Unmatched messages are new, of another branch, or older than the log reaches."""
    inactive = {entry.hash: entry.id for entry in log if not entry.active}
    matched = dict(pairs)
    seen_before = range(first + pairs[0][0]) if earlier_in_log and pairs[0][1] == 0 else range(0)
    stored_position = -1
    for i, (_, hash) in enumerate(window):
        if i in matched:
            stored_position = matched[i]
            continue
        if first + i in seen_before:
            continue
        if hash in inactive:
            result.matched[first + i] = inactive[hash]
            result.revived.append(inactive[hash])
        else:
            result.new.append(first + i)
        if i < pairs[-1][0]:
            replaced = _replaced(active, stored_position, pairs, i)
            result.forked.extend(id for id in replaced if id not in result.forked)


def _replaced(
    active: Sequence[Entry], stored_position: int, pairs: Sequence[tuple[int, int]], i: int
) -> list[str]:
    """The log's messages that stand where the request's unmatched message `i` stands."""
    following = next(j for k, j in pairs if k > i)
    between = active[stored_position + 1 : following]
    return [entry.id for entry in between]


def _branch_at_the_end(
    result: Alignment,
    window: Sequence[tuple[str, str]],
    first: int,
    active: Sequence[Entry],
    pairs: Sequence[tuple[int, int]],
    similar: Callable[[int, str], float],
) -> None:
    """Decide what the log's messages after the last match mean."""
    last_i, last_j = pairs[-1]
    rest = active[last_j + 1 :]
    if not rest:
        return
    if last_i == len(window) - 1:
        if window[last_i][0] in {"user", "tool"}:
            result.superseded.extend(entry.id for entry in rest)  # asked again
        return
    following = first + last_i + 1
    role = window[last_i + 1][0]
    switched = result.matched.get(following) in set(result.revived)
    if role != rest[0].role and not switched:
        return
    edited = role == "assistant" or similar(following, rest[0].id) >= SAME_QUESTION_RATIO
    if switched or edited:
        result.forked.extend(entry.id for entry in rest)
