"""An issuer for local runs: it signs ID tokens like Google's, with a key of its own.

The ordinary verifier judges them, by certificates served on loopback. Whoever holds the key file
can be anybody; the wiring refuses this issuer in production.
"""

import contextlib
import datetime
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER = "https://accounts.google.com"
CERTIFICATE_DAYS = 3650


class DevelopmentIssuer:
    """The key is read, or made, at the first use; processes sharing the file share the key."""

    def __init__(self, key_file: Path, clock: Callable[[], float]) -> None:
        self._key_file = key_file
        self._clock = clock

    def certificates(self) -> dict[str, str]:
        """What a certificate endpoint has to serve: `{kid: PEM}`."""
        return {self._kid: _certificate(self._key, self._kid, self._clock())}

    def issue(self, name: str, audience: str, lifetime_seconds: int = 3600) -> str:
        """An ID token for `name`, who is the same person each time."""
        # Imported here: only local runs sign, and google.auth takes 100 ms to import.
        from google.auth import crypt, jwt

        if not name:
            raise ValueError("a person needs a name")
        now = int(self._clock())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": f"dev-{name}",
            "email": f"{name}@example.test",
            "email_verified": True,
            "name": name,
            "iat": now,
            "exp": now + lifetime_seconds,
        }
        signer = crypt.RSASigner(self._key, self._kid)  # type: ignore[no-untyped-call] # no types
        token: bytes = jwt.encode(signer, claims)  # type: ignore[no-untyped-call] # no types
        return token.decode()

    @cached_property
    def _key(self) -> "RSAPrivateKey":
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if not self._key_file.exists():
            _create(self._key_file, _new_key())
        key = load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(f"{self._key_file} holds no RSA key")
        return key

    @cached_property
    def _kid(self) -> str:
        modulus = self._key.public_key().public_numbers().n
        return hashlib.sha256(str(modulus).encode()).hexdigest()[:40]


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _create(file: Path, content: bytes) -> None:
    """Write `file` whole and private (mkstemp gives 0600). One that is there by then stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(content)
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        os.unlink(name)


def _certificate(key: "RSAPrivateKey", kid: str, now: float) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "memory-ops development")])
    today = datetime.datetime.fromtimestamp(now, datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    certificate = (
        builder.public_key(key.public_key())
        .serial_number(int(kid[:16], 16) or 1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()
