"""What the model reads, as token ids: opening, chunks, stem, tail. Knows a tokenizer, no tensors.

    <user opener> Here are some paragraphs:          opening, the same in every window
    [1] first chunk                                   each chunk is tokenised alone, so that a span
    [2] second chunk                                  is exact and a prefix stays when one is added
    Please find ... in the paragraphs above. Query:   stem
    who has a dog?<assistant opener>                  tail, one per query; the null query is "N/A"

The query comes last (QRHead, https://arxiv.org/abs/2506.09944), so all before it can be kept. Texts
of users are tokenised with special tokens split into characters: none can close the user's turn.
"""

from typing import Protocol

Ids = list[int]

PARAGRAPHS = " Here are some paragraphs:"
STEM = (  # the published words, whose rows the published heads were found with
    "\n\nPlease find information that are relevant to the following query in the paragraphs above."
    "\n\nQuery:"
)
NULL_QUERY = "N/A"


class Tokenizer(Protocol):
    """As transformers' fast tokenizers are called."""

    def encode(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool
    ) -> list[int]: ...


class PromptFormat(Protocol):
    """The part of a model's profile that says how its prompts look."""

    @property
    def user_opener(self) -> str: ...
    @property
    def assistant_opener(self) -> str: ...
    @property
    def chunk_tokens(self) -> int: ...
    @property
    def query_tokens(self) -> int: ...


class Prompt:
    def __init__(self, tokenizer: Tokenizer, form: PromptFormat, bos: int | None) -> None:
        self._tokenizer = tokenizer
        self._form = form
        start = [bos] if bos is not None else []
        self.opening = start + self._ours(form.user_opener) + self._ours(PARAGRAPHS)
        self.stem = self._ours(STEM)
        self._answer = self._ours(form.assistant_opener)
        self.null_tail = self.tail(NULL_QUERY)

    def chunk(self, number: int, text: str) -> list[Ids]:
        """The labelled chunk in pieces of at most `chunk_tokens`, never empty."""
        ids = self._theirs(f"\n\n[{number}] {text}")
        most = self._form.chunk_tokens
        return [ids[i : i + most] for i in range(0, len(ids), most)]

    def tail(self, query: str) -> Ids:
        """Of a query that is too long its beginning and its end: a question stands at either."""
        return _ends(self._theirs(f" {query}"), self._form.query_tokens) + self._answer

    def _ours(self, text: str) -> Ids:
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=False)

    def _theirs(self, text: str) -> Ids:
        text = text.encode("utf-8", "replace").decode()  # lone surrogates are no text
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def _ends(ids: Ids, most: int) -> Ids:
    if len(ids) <= most:
        return ids
    first = most // 2
    return ids[:first] + ids[first - most :]
