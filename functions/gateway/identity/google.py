"""Google ID tokens, judged without asking Google about each one. Knows no routes and no settings.

`google.auth.jwt.decode` reads the time itself and parses the certificate anew for every token, so
only the signature is left to google.auth; the claims are held against the clock passed in
(https://developers.google.com/identity/gsi/web/guides/verify-google-id-token).
"""

import asyncio
import base64
import contextlib
import hashlib
import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx
import orjson

from gateway.errors import Unauthenticated, Unavailable
from gateway.identity.base import Identity

Clock = Callable[[], float]

ISSUERS = frozenset({"accounts.google.com", "https://accounts.google.com"})
SKEW_SECONDS = 10
MAX_TOKEN_CHARACTERS = 16_384  # Google's are about 1,200
TOKENS_KEPT = 2_048  # whose signature was found good
MAX_CLAIM_CHARACTERS = 255  # Google's own bound for `sub`

FETCH_TIMEOUT_SECONDS = 3.0
MAX_ANSWER_BYTES = 256 * 1024  # Google's two certificates take 2.5 kB
REFETCH_SECONDS = 60  # for an unknown kid, and while stale certificates are served
RETRY_SECONDS = 1  # while there are none at all
UNSTATED_FRESH_SECONDS = 3600
MAX_FRESH_SECONDS = 24 * 3600

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # alg none has no signature
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE)

logger = logging.getLogger(__name__)


class SignatureVerifier(Protocol):
    def verify(self, message: bytes, signature: bytes) -> bool: ...


class GoogleVerifier:
    def __init__(
        self,
        audiences: frozenset[str],
        certificates: "CertificateSource",
        clock: Clock,
        hosted_domain: str | None = None,
    ) -> None:
        self._audiences = audiences
        self._certificates = certificates
        self._clock = clock
        self._hosted_domain = hosted_domain
        self._signed: OrderedDict[bytes, SignatureVerifier] = OrderedDict()

    def claims(self, credential: str) -> bool:
        return _JWT.fullmatch(credential) is not None

    async def verify(self, credential: str) -> Identity:
        """`google:<sub>`. Raises `Unavailable` when no certificate could be had to judge with."""
        if not self._audiences:
            raise Unauthenticated("Google sign-in is not configured here.")
        header, payload, signed, signature = _parse(credential)
        if header.get("alg") != "RS256":
            raise Unauthenticated("The ID token is not signed with RS256.")
        verifier = await self._certificates.verifier(_text(header, "kid"))
        if verifier is None:
            raise Unauthenticated("The ID token is signed with an unknown key.")
        self._check_signature(credential, verifier, signed, signature)
        self._check(payload)
        subject = f"google:{_text(payload, 'sub')}"
        return Identity(subject=subject, owner=subject)

    def _check_signature(
        self, credential: str, verifier: "SignatureVerifier", signed: bytes, signature: bytes
    ) -> None:
        """Once for each token and certificate, though a client sends the same one for an hour.

        Remembered by digest, and only that this certificate signed it: new certificates ask again,
        and what the token claims is held against the clock every time.
        """
        digest = hashlib.sha256(credential.encode()).digest()
        if self._signed.get(digest) is verifier:
            return
        if not verifier.verify(signed, signature):
            raise Unauthenticated("The ID token's signature does not match.")
        self._signed[digest] = verifier
        if len(self._signed) > TOKENS_KEPT:
            self._signed.popitem(last=False)

    def _check(self, payload: Mapping[str, Any]) -> None:
        now = self._clock()
        if now > _time(payload, "exp") + SKEW_SECONDS:
            raise Unauthenticated("The ID token has expired.")
        if now < _time(payload, "iat") - SKEW_SECONDS:
            raise Unauthenticated("The ID token is not valid yet.")
        if _text(payload, "aud") not in self._audiences:
            raise Unauthenticated("The ID token was issued for another audience.")
        if _text(payload, "iss") not in ISSUERS:
            raise Unauthenticated("The ID token was not issued by Google.")
        if self._hosted_domain and payload.get("hd") != self._hosted_domain:
            raise Unauthenticated("The ID token belongs to an account of another domain.")


class CertificateSource:
    """The certificates Google signs with, as `{kid: PEM}` from `url`, kept as long as it allows.

    While the endpoint is away the last ones are served; with none, `Unavailable`. However many
    requests wait, one fetch runs; it outlives a request that is cancelled meanwhile.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        clock: Clock,
        timeout_seconds: float = FETCH_TIMEOUT_SECONDS,
    ) -> None:
        self._client = client
        self._url = url
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._verifiers: Mapping[str, SignatureVerifier] = {}
        self._fresh_until = -math.inf
        self._attempted_at = -math.inf
        self._flight: asyncio.Task[None] | None = None

    async def verifier(self, kid: str) -> SignatureVerifier | None:
        """The verifier of one key, or None if Google has no such key."""
        if self._due(kid):
            await self._refresh()
        if not self._verifiers:
            raise Unavailable(
                "Google's certificates are unavailable; the ID token cannot be verified now.",
                code="certificates_unavailable",
                retry_after_seconds=RETRY_SECONDS,
            )
        return self._verifiers.get(kid)

    async def ready(self) -> bool:
        """Whether a token could be judged now. Fetches where a token would, less often."""
        if self._clock() >= self._fresh_until and self._may_ask():
            await self._refresh()
        return bool(self._verifiers)

    def _due(self, kid: str) -> bool:
        wanted = kid not in self._verifiers or self._clock() >= self._fresh_until
        return wanted and self._may_ask()

    def _may_ask(self) -> bool:
        pause = REFETCH_SECONDS if self._verifiers else RETRY_SECONDS
        return abs(self._clock() - self._attempted_at) >= pause  # a clock may be set back, too

    async def _refresh(self) -> None:
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._attempt())
        await asyncio.shield(self._flight)

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                fresh_seconds, body = await self._fetch()
            self._verifiers = _verifiers(body)
            self._fresh_until = self._clock() + fresh_seconds
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            logger.warning("certificates could not be fetched: %s", type(error).__name__)
        finally:
            # Last, so that whoever comes during the flight still finds it due and joins it.
            self._attempted_at = self._clock()

    async def _fetch(self) -> tuple[float, bytes]:
        """Seconds the answer is fresh for, and its body: raw, since unpacking has no bound."""
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        body = bytearray()
        async with self._client.stream(
            "GET", self._url, headers=headers, follow_redirects=False
        ) as response:
            if response.status_code != 200:
                raise ValueError("not a 200")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError("too large")
        return _fresh_seconds(response.headers), bytes(body)


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    """RFC 9111, 4.2: `max-age` less the `Age` it has already reached in somebody's cache."""
    stated = _MAX_AGE.search(headers.get("cache-control", ""))
    if stated is None:
        return UNSTATED_FRESH_SECONDS
    age = headers.get("age", "0")
    spent = int(age) if re.fullmatch(r"[0-9]{1,9}", age) else 0
    return max(0, min(int(stated[1]) - spent, MAX_FRESH_SECONDS))


def _verifiers(body: bytes) -> dict[str, SignatureVerifier]:
    """From `{kid: PEM of an X.509 certificate}`. Raises ValueError if that holds no RSA key."""
    # Imported here: 100 ms that a cold start without a Google token need not wait for.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import load_pem_x509_certificate
    from google.auth.crypt import RSAVerifier

    verifiers: dict[str, SignatureVerifier] = {}
    for kid, pem in _object(body).items():
        # A key of another kind among them is none of ours; the rest stay good.
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            key = load_pem_x509_certificate(str(pem).encode()).public_key()
            verifiers[kid] = RSAVerifier(key)  # type: ignore[no-untyped-call] # ships no types
    if not verifiers:
        raise ValueError("no certificates")
    return verifiers


def _parse(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any], bytes, bytes]:
    """Header, payload, what was signed, and the signature. Nothing of it is verified."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise Unauthenticated("The ID token is too large.")
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        header, payload = (_object(_unpadded(part)) for part in signed.split(b"."))
        return header, payload, signed, _unpadded(signature)
    except ValueError:
        # Without `from`: the decoder's error carries what it was given.
        raise Unauthenticated("The ID token is malformed.") from None


def _unpadded(part: bytes) -> bytes:
    return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _object(text: bytes) -> Mapping[str, Any]:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CLAIM_CHARACTERS:
        raise Unauthenticated(f"The ID token has no valid `{name}`.")
    return value


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated(f"The ID token has no valid `{name}`.")
    return value
