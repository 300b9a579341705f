"""An embedding that needs no model: a text is how often it has each letter."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import normalize

from support.readers import Clock

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters:
    """`asked` is what it was given, call by call; by the clock a text takes as long as it is told,
    and `error` is what it fails with."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.asked: list[list[str]] = []
        self.error: BaseException | None = None
        self.seconds_a_text = 0.0
        self.clock = clock
        self._open = threading.Event()
        self._open.set()
        self._entered = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """The next call waits until the block ends."""
        self._entered.clear()
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def entered(self) -> bool:
        """Whether a call has begun since it was held."""
        return self._entered.is_set()

    @property
    def texts(self) -> list[str]:
        return [text for texts in self.asked for text in texts]

    def vectors(self, texts: Sequence[str]) -> Tensor:
        self._entered.set()
        assert self._open.wait(60)
        if self.error is not None:
            raise self.error
        self.asked.append(list(texts))
        if self.clock is not None:
            self.clock.now += len(texts) * self.seconds_a_text
        counts = [[float(text.lower().count(one)) for one in LETTERS] for text in texts]
        return normalize(torch.tensor(counts).reshape(len(texts), len(LETTERS)), dim=1)
