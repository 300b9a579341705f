"""Pieces put into a budget of tokens, in their order, and the text that they make. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.context.pieces import SECTIONS, LeftOut, Line, Piece, Section

TITLES: dict[Section, str] = {
    "profile": "# Profile",
    "entities": "# Known",
    "timeline": "# Lately",
    "messages": "# Said before",
}


@dataclass(frozen=True, slots=True)
class Packed:
    """`tokens` are those of `text`, counted whole."""

    pieces: Sequence[Piece]
    text: str
    tokens: int
    left_out: Sequence[LeftOut]

    def told(self) -> dict[str, list[dict[str, Any]]]:
        """The data by section."""
        sections: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
        for piece in self.pieces:
            sections[piece.section].append(_data(piece))
        return sections


def packed(pieces: Sequence[Piece], budget: int, count: Callable[[str], int]) -> Packed:
    """As much as fits, the first ones first; what does not is left out and named."""
    kept: list[Piece] = []
    left_out: list[LeftOut] = []
    room = budget
    for piece in pieces:
        opening = _opening(piece, kept)
        fitting, spent = _fitting(piece, opening, room, budget, count)
        room -= spent
        if fitting:
            kept.append(replace(piece, lines=tuple(piece.lines[i] for i in fitting)))
        if missing := [line for i, line in enumerate(piece.lines) if i not in fitting]:
            left_out.append(_left(piece, missing, count))
    return _within(kept, budget, count, left_out)


def _fitting(
    piece: Piece, opening: Sequence[str], room: int, budget: int, count: Callable[[str], int]
) -> tuple[dict[int, int], int]:
    """The places of lines that `room` holds, and what they cost with what stands above them."""
    above = sum(count(f"{line}\n") for line in opening)
    costs = [count(f"{line.text}\n") for line in piece.lines]
    if piece.whole and above + sum(costs) > room and above + sum(costs) <= budget:
        return {}, 0
    fitting: dict[int, int] = {}
    spent = above
    for place, cost in enumerate(costs):
        if spent + cost <= room:
            fitting[place] = cost
            spent += cost
    return (fitting, spent) if fitting else ({}, 0)


def _within(
    kept: list[Piece], budget: int, count: Callable[[str], int], left_out: list[LeftOut]
) -> Packed:
    """Counted whole: lines together may cost a token more than one by one."""
    while (tokens := count(text := _text(kept))) > budget:
        last = kept.pop()
        if len(last.lines) > 1:
            kept.append(replace(last, lines=last.lines[:-1]))
        left_out.append(_left(last, last.lines[-1:], count))
    return Packed([_ordered(one) for one in _dated(kept)], text, tokens, left_out)


def _text(pieces: Sequence[Piece]) -> str:
    return "\n".join(_lines(pieces))


def _lines(pieces: Sequence[Piece]) -> Iterator[str]:
    for name in SECTIONS:
        inside = _dated([one for one in pieces if one.section == name])
        if inside:
            yield TITLES[name]
        for piece in inside:
            if piece.heading is not None:
                yield piece.heading
            yield from (line.text for line in _ordered(piece).lines)


def _dated(pieces: Sequence[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda one: -one.at)


def _ordered(piece: Piece) -> Piece:
    return replace(piece, lines=tuple(sorted(piece.lines, key=lambda one: one.order)))


def _opening(piece: Piece, kept: Sequence[Piece]) -> list[str]:
    """What stands above the piece's lines and is not there yet."""
    opened = any(one.section == piece.section for one in kept)
    title = [] if opened else [TITLES[piece.section]]
    return [*title, *([] if piece.heading is None else [piece.heading])]


def _left(piece: Piece, lines: Sequence[Line], count: Callable[[str], int]) -> LeftOut:
    tokens = sum(count(f"{line.text}\n") for line in lines)
    return LeftOut(piece.kind, "over_budget", len(lines), piece.id, tokens)


def _data(piece: Piece) -> dict[str, Any]:
    told: dict[str, Any] = dict(piece.told)
    for line in piece.lines:
        if line.part:
            told.setdefault(line.part, []).append(dict(line.told))
        else:
            told.update(line.told)
    return told
