"""One remembered message, its id and its place among documents. Pure.

Ids begin with the millisecond they were made in, so that the manifest's time bounds tell which
segments may hold one. Paths hold hashes only: never an e-mail, a subject or a client's string.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import orjson

State = Literal["active", "alternative", "superseded", "forked"]

ID_ALPHABET = "0123456789abcdefghijklmnopqrstuv"  # base32hex: ids sort by time
INSTANT_SECONDS = 1e-6  # between messages that come together: their order is an order in time
TIME_DIGITS = 9  # 45 bits of milliseconds: until the year 3084
RANDOM_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Record:
    """A stored message. `at` (epoch seconds) is when it was said, the id says when it was stored.

    `extras` keeps what the OpenAI message had beside role and text: `name`, `tool_calls`,
    `tool_call_id`, `media` (digest, type and size, never bytes). `receipt` stands on the message
    that asked. Only `active` messages are sent or ranked.
    """

    id: str
    session: str
    sequence: int
    parent: str | None
    role: str
    content: str
    tokens: int
    at: float
    hash: str
    state: State = "active"
    interrupted: bool = False
    expires_at: float | None = None
    pin: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    receipt: Mapping[str, Any] | None = None
    text: bytes | None = field(default=None, init=False, compare=False, repr=False)

    def stored(self) -> bytes:
        """Packed, as JSON. Made once: a tail's messages are written again on every turn."""
        if self.text is None:
            object.__setattr__(self, "text", orjson.dumps(self.packed()))
        return self.text or b""

    def packed(self) -> dict[str, Any]:
        """As JSON fields; what stands at its default is left out."""
        fields: dict[str, Any] = {
            "id": self.id,
            "session": self.session,
            "sequence": self.sequence,
            "parent": self.parent,
            "role": self.role,
            "content": self.content,
            "tokens": self.tokens,
            "at": self.at,
            "hash": self.hash,
        }
        if self.state != "active":
            fields["state"] = self.state
        if self.interrupted:
            fields["interrupted"] = True
        if self.expires_at is not None:
            fields["expires_at"] = self.expires_at
        if self.pin:
            fields["pin"] = True
        for name in ("metadata", "extras", "receipt"):
            if value := getattr(self, name):
                fields[name] = dict(value)
        return fields

    @staticmethod
    def unpacked(fields: Mapping[str, Any]) -> "Record":
        return Record(**fields)

    def alive(self, now: float) -> bool:
        """False once its time is over, whether or not the cleanup has taken it away already."""
        return self.expires_at is None or self.expires_at > now

    def rankable(self, now: float) -> bool:
        said = self.role != "system" and bool(self.content)
        return self.state == "active" and said and self.alive(now)


def new_id(now: float, random_bits: Callable[[int], int], prefix: str = "m") -> str:
    stamp = _digits(int(now * 1000), TIME_DIGITS)
    return prefix + stamp + _digits(random_bits(5 * RANDOM_DIGITS), RANDOM_DIGITS)


def made_at_milliseconds(id: str) -> int | None:
    """The millisecond inside an id of ours; None for any other string."""
    digits = id[1 : 1 + TIME_DIGITS]
    if len(id) != 1 + TIME_DIGITS + RANDOM_DIGITS or set(id[1:]) - set(ID_ALPHABET):
        return None
    return int(digits, 32)


def random_part(id: str) -> str:
    return id[-RANDOM_DIGITS:]


def owner_path(owner: str) -> str:
    return f"owners/{_hashed(owner)}"


def session_key(session: str) -> str:
    """130 bits of the client's session id's digest: the head's document id."""
    return _hashed(session)[:26]


def session_path(owner: str, session: str) -> str:
    return f"{owner_path(owner)}/sessions/{session_key(session)}"


def content_hash(owner: str, role: str, text: str, tool_ids: tuple[str, ...]) -> str:
    """What alignment compares: keyed by owner, blind to surrounding white space.

    The key keeps equal messages of two people from looking equal in the store.
    """
    key = hashlib.sha256(owner.encode()).digest()
    digest = hashlib.blake2b(key=key, digest_size=10)
    for part in (role, text.strip(), *tool_ids):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return base64.b32hexencode(digest.digest()).decode().lower()


def text_digest(id: str, text: str) -> str:
    """Tells whether a message's text is still the same. Keyed by its id: equal texts of two
    messages do not look equal in the store."""
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, key=id.encode()[:64], digest_size=5).hexdigest()


@lru_cache(maxsize=2048)  # owners and sessions, asked several times a turn
def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


def _digits(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(ID_ALPHABET[digit])
    return "".join(reversed(digits))
