"""What the simulation takes for given: people, the deployment, and how long things take.

Figures measured here name ARCHITECTURE.md; the others are assumptions, and say so.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class People:
    """Assumptions all: nobody has used a deployment of this yet."""

    seconds_between_turns: float = 90.0  # mean; reading, thinking, typing
    turns_remembered: float = 60.0  # median of a lognormal
    turns_spread: float = 1.2  # its sigma: one in a hundred has a thousand
    turns_most: int = 4_000
    tokens_per_turn: int = 250
    bytes_per_turn: int = 1_600  # both messages as stored
    tokens_asked: int = 3_500  # what a turn reserves at the limiter


@dataclass(frozen=True)
class Deployment:
    """What can be chosen. Defaults are those of settings.py, infra/terraform and gpu/app.py."""

    global_requests_per_minute: int = 200
    global_shards: int = 4
    max_instances: int = 10
    concurrency: int = 80
    index_bytes: int = 100_000_000  # MAX_MEMORY_MB
    session_affinity: bool = True
    containers: int = 4
    containers_at_least: int = 0
    routing: str = "any"  # `owner`: the same person's questions meet the same container
    deadline_seconds: float = 2.0
    window_tokens: int = 14_000  # of a 3B to 8B model
    most_tokens: int = 32_000
    small_tokens: int = 3_000


@dataclass(frozen=True)
class Times:
    """In seconds."""

    cpu_before: float = 0.008  # of a turn's 12.7 ms (79 requests/s of one process, ARCHITECTURE.md)
    cpu_after: float = 0.0047
    instance_start: float = 2.5  # 0.7 of it our process (measured); Cloud Run's part is assumed
    queue_most: float = 10.0  # what Cloud Run lets a request wait for an instance
    read: float = 0.008  # Firestore, one get of several documents: assumed, same region
    write: float = 0.020  # one commit: assumed; a document takes one at a time
    spread: float = 0.4  # sigma of the lognormal around these
    store_deadline: float = 2.0
    upstream: float = 6.0  # median of a whole answer: assumed
    upstream_spread: float = 0.5
    retriever_way: float = 0.040  # there and back: assumed
    container_start: float = 25.0  # from a snapshot, 9 GB to the GPU: assumed
    container_idle: float = 300.0
    question: float = 0.010  # 0.36 teraFLOPs (ARCHITECTURE.md) and what surrounds them
    tokens_per_second: float = 14_900.0  # 16,384 tokens in 1.1 s on an L40S: computed there
    bytes_per_token: int = 71_680  # keys and values, 17 layers of the 8B shape
    cache_bytes: float = 0.6 * 39e9  # 60 % of what the weights leave of 48 GB
    cache_idle: float = 600.0
