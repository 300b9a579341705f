"""What goes wrong in the retriever, each with its code on the wire (`retriever_contract`).

RetrieverError
├── Unusable         the model cannot be loaded; the message says what to do
├── Loading          not loaded yet
├── TooLarge         more than the cache could ever hold
├── Overloaded       the queue is full
├── DeadlinePassed   the caller's time is over; the memory goes on being read
└── Failed           the model failed at this request
"""

from typing import ClassVar

from retriever_contract.wire import FailureCode


class RetrieverError(Exception):
    code: ClassVar[FailureCode] = "failed"

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unusable(RetrieverError):
    code = "unusable"


class Loading(RetrieverError):
    code = "loading"


class TooLarge(RetrieverError):
    code = "too_large"


class Overloaded(RetrieverError):
    code = "overloaded"


class DeadlinePassed(RetrieverError):
    """`embeds`: who asks next may name what is beyond the windows."""

    code = "deadline"

    def __init__(
        self, message: str, retry_after_seconds: float | None = None, *, embeds: bool = False
    ) -> None:
        super().__init__(message, retry_after_seconds)
        self.embeds = embeds


class Failed(RetrieverError):
    code = "failed"
