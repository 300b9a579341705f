"""Google's part in signing in, on loopback: keys, ID tokens and the certificate endpoint.

`CertificateServer` runs in a thread of its own, so that tests and child processes can both ask it.
"""

import base64
import datetime
import functools
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000.0
AUDIENCE = "memory-ops.apps.googleusercontent.com"
PATIENCE_SECONDS = 10


class Clock:
    """A clock that stands until it is told to advance."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class SigningKey:
    kid: str
    private: rsa.RSAPrivateKey

    @functools.cached_property
    def certificate(self) -> str:
        return _certificate(self.private)

    @property
    def public_pem(self) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def make_key(kid: str) -> SigningKey:
    return SigningKey(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def elliptic_certificate() -> str:
    """A certificate whose key cannot have made an RS256 signature."""
    return _certificate(ec.generate_private_key(ec.SECP256R1()))


def make_claims(now: float = NOW, **changes: Any) -> dict[str, Any]:
    """The claims of a good ID token; a change to None leaves the claim out."""
    claims: dict[str, Any] = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "sub": "110169484474386276334",
        "email": "ada@example.test",
        "iat": int(now),
        "exp": int(now) + 3600,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def make_token(
    key: SigningKey,
    claims: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
) -> str:
    """An RS256 token over `claims` (a good token's by default); `header` overrides its header."""
    signed = _signed_part(claims, {"alg": "RS256", "kid": key.kid, **(header or {})})
    return f"{signed}.{_encode(key.private.sign(signed.encode(), padding.PKCS1v15(), _SHA256))}"


def make_unsigned_token(kid: str, claims: Mapping[str, Any] | None = None) -> str:
    return _signed_part(claims, {"alg": "none", "kid": kid}) + "."


def make_hmac_token(kid: str, secret: bytes, claims: Mapping[str, Any] | None = None) -> str:
    """HS256 with a secret that everybody knows: the public key or its certificate."""
    signed = _signed_part(claims, {"alg": "HS256", "kid": kid})
    return f"{signed}.{_encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def with_payload(token: str, claims: Mapping[str, Any]) -> str:
    """`token` with other claims under the old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{_encode(json.dumps(claims).encode())}.{signature}"


class CertificateServer:
    """`{kid: PEM}` at `url`, counting `hits`; `status`, `headers` and `body` make it misbehave."""

    def __init__(self, *keys: SigningKey, max_age_seconds: int = 3600) -> None:
        self.hits = 0
        self.request_headers: Mapping[str, str] = {}
        self.status = 200
        self.headers = {"cache-control": f"public, max-age={max_age_seconds}, must-revalidate"}
        self.body = b""
        self.serve(*keys)
        self._asked = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/oauth2/v1/certs"

    def serve(self, *keys: SigningKey) -> None:
        """Serve these keys from now on: a rotation."""
        self.body = json.dumps({key.kid: key.certificate for key in keys}).encode()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Requests are taken but answered only after the block."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def wait_until_asked(self) -> None:
        """Block (call it in a thread) until one more request has arrived."""
        assert self._asked.acquire(timeout=PATIENCE_SECONDS), "nobody asked for certificates"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests read `hits`, not the terminal."""

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.hits += 1
        self.request_headers = dict(request.headers)
        self._asked.release()
        self._open.wait(PATIENCE_SECONDS)
        body = self.body
        try:
            request.send_response(self.status)
            for name, value in {"content-length": str(len(body)), **self.headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)
        except ConnectionError:
            """The client has left, as one that no longer waits does."""


_SHA256 = hashes.SHA256()


def _certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "certificates.test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start.replace(year=2050))
    return builder.sign(key, _SHA256).public_bytes(Encoding.PEM).decode()


def _signed_part(claims: Mapping[str, Any] | None, header: Mapping[str, Any]) -> str:
    claims = make_claims() if claims is None else claims
    return f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
