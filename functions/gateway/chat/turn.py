"""What one turn holds while the upstream answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.chat.caching import Looked
from gateway.chat.claims import Claim
from gateway.chat.models import KnownModel
from gateway.chat.prompt import Prompt
from gateway.chat.threads import Spoken
from gateway.chat.wire import ChatRequest
from gateway.limits.base import Reservation
from gateway.memory.growth import Loaded
from gateway.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class Turn:
    """`message_ids`, by place in `said`, are given before anything is stored, so that a retried
    commit keeps them. `key` makes the append idempotent. `writes` is false where memory is only
    read or off.
    """

    owner: str
    request: ChatRequest
    said: Sequence[Spoken]
    message_ids: Mapping[int, str]
    loaded: Loaded
    prompt: Prompt
    reservation: Reservation
    started: float
    key: str
    receipt_id: str
    writes: bool
    claim: Claim | None = None
    redactor: Redactor = field(default_factory=lambda: Redactor(enabled=False))
    cached: Looked = field(default_factory=Looked)
    model: KnownModel = field(default_factory=KnownModel)

    @property
    def bought(self) -> bool:
        """False for an answer out of the response cache: the upstream was not asked."""
        return self.cached.answer is None
