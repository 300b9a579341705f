"""Requests and answers of the retriever, version 1.

    POST /v1/rank      RankRequest    -> RankAnswer
    POST /v1/prefill   PrefillRequest -> PrefillAnswer, 202: the work goes on beside
    POST /v1/forget    ForgetRequest  -> ForgetAnswer
    GET  /v1/health                   -> Health, 200 when ready, 503 with `loading` before

Every other status carries `Failure`. Fields that a reader does not know are ignored, so that
either side may be deployed first; a version it does not know is refused. What an embedding adds is
left out where there is none, and then both sides write what they wrote before there was one.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

VERSION: Final = 1

MAX_QUERIES = 4
MAX_QUERY_CHARACTERS = 4_000
MAX_CHUNKS = 4_096
MAX_CHUNK_CHARACTERS = 4_000
MAX_TEXT_BYTES = 4 * 1024 * 1024  # of all chunks together, in UTF-8

FailureCode = Literal[
    "bad_request",  # 400: not this contract, or not this version of it
    "too_large",  # 413: above the limits, or more than the cache could ever hold
    "overloaded",  # 429: the queue is full
    "failed",  # 500: the model itself failed
    "loading",  # 503: the model is not loaded yet
    "unusable",  # 503: the model cannot be loaded; `message` says why
    "deadline",  # 504: not ready in time; the memory goes on being read
]
STATUSES: dict[FailureCode, int] = {
    "bad_request": 400,
    "too_large": 413,
    "overloaded": 429,
    "failed": 500,
    "loading": 503,
    "unusable": 503,
    "deadline": 504,
}

OwnerKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{16,64}$")]  # a digest, never a name


def _is_unset(value: object) -> bool:
    return not value


ChunkId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Chunk(_Wire):
    """A piece of memory that gets a score of its own; its id is opaque and comes back."""

    id: ChunkId
    text: str = Field(max_length=MAX_CHUNK_CHARACTERS)


class Window(_Wire):
    """Consecutive chunks in the owner's order: what one pass of the model sees together.

    One that is longer in the model's own tokens than its profile's window is cut, from the start,
    so that growth at its end leaves the earlier cuts where they were.
    """

    chunks: list[Chunk] = Field(min_length=1, max_length=MAX_CHUNKS)


class _Memory(_Wire):
    version: Literal[1] = VERSION
    owner: OwnerKey
    epoch: int = Field(ge=0)  # raised by an erasure: what was cached before is never met again
    windows: list[Window] = Field(max_length=MAX_CHUNKS)

    @model_validator(mode="after")
    def _within_limits(self) -> "_Memory":
        """Raises ValueError: above `MAX_CHUNKS` or `MAX_TEXT_BYTES`, or an id given twice."""
        windows = self._named
        ids = [chunk.id for window in windows for chunk in window.chunks]
        if len(ids) > MAX_CHUNKS:
            raise ValueError(f"more than {MAX_CHUNKS} chunks")
        if len(set(ids)) < len(ids):
            raise ValueError("a chunk id occurs twice")
        size = sum(
            len(chunk.text.encode("utf-8", "surrogatepass"))
            for window in windows
            for chunk in window.chunks
        )
        if size > MAX_TEXT_BYTES:
            raise ValueError(f"more than {MAX_TEXT_BYTES} bytes of text")
        return self

    @property
    def _named(self) -> list[Window]:
        return self.windows


class RankRequest(_Memory):
    """What is `beyond` the windows to be read is embedded alone; a tier without an embedding lets
    it be. Who takes `partial` answers gets what is there in time, and not `deadline`, as long as
    either all chunks are embedded or all windows are read."""

    queries: list[Annotated[str, StringConstraints(max_length=MAX_QUERY_CHARACTERS)]] = Field(
        min_length=1, max_length=MAX_QUERIES
    )
    deadline_milliseconds: int = Field(ge=1, le=600_000)
    beyond: list[Window] = Field([], max_length=MAX_CHUNKS, exclude_if=_is_unset)
    partial: bool = Field(False, exclude_if=_is_unset)

    @property
    def _named(self) -> list[Window]:
        return [*self.windows, *self.beyond]


class PrefillRequest(_Memory):
    """Read this memory so that the next question finds it read; nothing is scored."""


class ForgetRequest(_Wire):
    version: Literal[1] = VERSION
    owner: OwnerKey
    epoch: int = 0  # lower epochs of this owner are not to be read any more


class ChunkScore(_Wire):
    id: ChunkId
    score: float = Field(allow_inf_nan=False)


class EmbeddingFacts(_Wire):
    """Of what `embedded` scores come from: `weight` and `floor` as of the ranking model's."""

    model: str
    weight: float = Field(allow_inf_nan=False, ge=0)
    floor: float = Field(allow_inf_nan=False)


class Facts(_Wire):
    """Of the model that ranked: what the gateway needs to use its scores.

    Scores of all windows compare. Below `floor` nothing is relevant to the query. `fusion_weight`
    is this ranking's in a sum with the lexical one's weight of 1; None: it ranks alone.
    """

    model: str
    adapter: str | None
    profile: str  # a digest: scores of different profiles do not compare
    window_tokens: int
    floor: float
    fusion_weight: float | None
    embedding: EmbeddingFacts | None = Field(None, exclude_if=_is_unset)


class Work(_Wire):
    """What this request cost, in the model's own tokens."""

    tokens: int  # of the memory
    tokens_cached: int  # of those, found in the cache
    windows: int
    seconds: float


class RankAnswer(_Wire):
    version: Literal[1] = VERSION
    facts: Facts
    scores: list[list[ChunkScore]]  # for each query, in the order of the request's chunks
    work: Work
    # Cosines from -1 to 1, of all chunks and those beyond; left out where not all are embedded yet.
    embedded: list[list[ChunkScore]] | None = Field(None, exclude_if=_is_unset)


class PrefillAnswer(_Wire):
    version: Literal[1] = VERSION
    windows: int


class ForgetAnswer(_Wire):
    """Other instances drop what they hold within `horizon_seconds`, unasked."""

    version: Literal[1] = VERSION
    windows: int
    horizon_seconds: float


class CacheFigures(_Wire):
    windows: int
    bytes: int
    max_bytes: int
    hits: int  # windows found whole or in part
    misses: int
    tokens_read: int
    tokens_cached: int
    evicted: int


class DeviceFigures(_Wire):
    name: str
    bytes_used: int | None = None
    bytes_peak: int | None = None
    bytes_total: int | None = None


class Health(_Wire):
    version: Literal[1] = VERSION
    status: Literal["loading", "ready", "unusable"]
    facts: Facts | None = None
    cache: CacheFigures | None = None
    device: DeviceFigures | None = None
    waiting: int = 0
    message: str = ""


class Failure(_Wire):
    version: Literal[1] = VERSION
    code: FailureCode
    message: str
    retry_after_seconds: float | None = None
    embeds: bool = Field(
        False, exclude_if=_is_unset
    )  # of `deadline`: it would embed what is beyond
