from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.prompt import Line, render
from gateway.chat.quoting import count_block
from gateway.chat.wire import count_message
from gateway.retrieval.base import Passage
from gateway.tokens.rs_bpe import ENCODINGS, RsBpeTokenizer

TOKENIZERS = [RsBpeTokenizer(name) for name in ENCODINGS]
TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
        st.text("\n\r\t /\\\"}{<>'.aZ1é東\u2028", max_size=20),
    ),
    min_size=1,
    max_size=6,
)


def line(text: str, number: int = 0) -> Line:
    return Line(Passage(f"m{number:016}", "s", "user", text, 1, 1e9 + number), 0.5, number + 1)


class Counting:
    name = "o200k_base"

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def count(self, text: str) -> int:
        self.counted[text] += 1
        return TOKENIZERS[0].count(text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=ENCODINGS)
@given(texts=TEXTS)
def test_lines_add_up_to_the_whole(tokenizer: RsBpeTokenizer, texts: list[str]) -> None:
    lines = [line(text, i) for i, text in enumerate(texts)]
    block = render(lines)
    whole = count_message({"role": "user", "content": block}, tokenizer)
    assert count_block(block, lines, tokenizer) == whole


def test_a_line_is_counted_once() -> None:
    tokenizer, said = Counting(), [line("a lake", 0), line("a harbor", 1)]
    first = count_block(render(said), said, tokenizer)
    assert count_block(render(said), said, tokenizer) == first
    assert [n for text, n in tokenizer.counted.items() if "lake" in text] == [1]


def test_a_block_that_is_repeated_is_counted_whole() -> None:
    block = render([line("a lake")])
    assert count_block(block, (), TOKENIZERS[0]) == count_message(
        {"role": "user", "content": block}, TOKENIZERS[0]
    )


def test_no_block_weighs_nothing() -> None:
    assert count_block("", (), TOKENIZERS[0]) == 0
