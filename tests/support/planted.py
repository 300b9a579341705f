"""Texts with secrets planted in them, labelled, and texts that only look as if.

Keys are drawn when asked for, from a seed: none stands in a file, where a scanner would rightly
complain of it. None was ever anybody's.
"""

import base64
import hashlib
import string
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from gateway.redaction.base import Kind

LETTERS = string.ascii_letters + string.digits
URL_SAFE = LETTERS + "-_"
HEXADECIMAL = "0123456789abcdef"

SAID = (
    "My {what} is {it}, please use it.",
    "here you go: {it}",
    "It fails with {it} since yesterday.\nWhat can I do?",
    "({it})",
    "I sent it to them yesterday ({what}: {it}) and heard nothing.",
)
WRITTEN = (
    '{name} = "{it}"',
    "export {name}={it}",
    '{{"{name}": "{it}", "timeout": 30}}',
    "{name}: {it}\nretries: 3",
    "client = Client('{it}', retries=3)  # see above",
    "curl -H 'X-Auth: {it}' https://api.example.com/v1/things?page=2",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """`secret` stands in `text` once; `kind` None: nothing in it is a secret."""

    text: str
    secret: str = ""
    kind: Kind | None = None


def _drawn(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choices(alphabet, k=length))


def _keys(random: Random) -> dict[str, str]:
    def of(alphabet: str, length: int) -> str:
        return _drawn(random, alphabet, length)

    claims = (
        base64.urlsafe_b64encode(f'{{"sub":"{of(LETTERS, 24)}"}}'.encode()).decode().rstrip("=")
    )
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    return {
        "openai": "sk-" + of(LETTERS, 48),
        "openai_project": "sk-proj-" + of(URL_SAFE, 100),
        "anthropic": "sk-ant-api03-" + of(URL_SAFE, 93),
        "openrouter": "sk-or-v1-" + of(HEXADECIMAL, 64),
        "stripe": "sk_live_" + of(LETTERS, 24),
        "github": "ghp_" + of(LETTERS, 36),
        "github_fine": "github_pat_" + of(LETTERS, 22) + "_" + of(LETTERS, 59),
        "gitlab": "glpat-" + of(URL_SAFE, 20),
        "slack": "xoxb-"
        + of("0123456789", 12)
        + "-"
        + of("0123456789", 12)
        + "-"
        + of(LETTERS, 24),
        "aws": "AKIA" + of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
        "google": "AIza" + of(URL_SAFE, 35),
        "google_oauth": "ya29." + of(URL_SAFE, 60),
        "hugging_face": "hf_" + of(LETTERS, 34),
        "npm": "npm_" + of(LETTERS, 36),
        "pypi": "pypi-AgE" + of(URL_SAFE, 80),
        "sendgrid": "SG." + of(URL_SAFE, 22) + "." + of(URL_SAFE, 43),
        "twilio": "SK" + of(HEXADECIMAL, 32),
        "groq": "gsk_" + of(LETTERS, 52),
        "digital_ocean": "dop_v1_" + of(HEXADECIMAL, 64),
        "telegram": of("123456789", 9) + ":AA" + of(URL_SAFE, 33),
        "modal": "ak-" + of(LETTERS, 22),
        "ours": "mk_" + of(URL_SAFE, 43),
        "jwt": f"{head}.{claims}.{of(URL_SAFE, 43)}",
        "shapeless": of(LETTERS, 40),
    }


def _by_name(random: Random) -> Iterator[tuple[str, str]]:
    """Secrets that only their names give away."""
    yield 'AWS_SECRET_ACCESS_KEY="{}"', _drawn(random, LETTERS + "+/", 40)
    yield "api_key: {}", _drawn(random, HEXADECIMAL, 32)
    yield "client_secret={}", _drawn(random, LETTERS, 24)
    yield '"password": "{}"', _drawn(random, LETTERS + "!$%+", 14)
    yield "DB_PASSWORD='{}'", _drawn(random, LETTERS, 12)
    yield "Authorization: Bearer {}", _drawn(random, URL_SAFE, 40)
    yield "mytool login --token {}", _drawn(random, LETTERS, 30)
    yield "postgres://app:{}@db.example.com:5432/app", _drawn(random, LETTERS, 16)
    yield "AccountKey={};", base64.b64encode(random.randbytes(64)).decode()
    yield "https://maps.example.com/tiles?api_key={}&zoom=4", _drawn(random, LETTERS, 32)
    body = "\n".join(_drawn(random, LETTERS + "+/", 64) for _ in range(6))
    kind = "RSA PRIVATE KEY"
    yield "{}", f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


EMAILS = (
    "ada.lovelace@example.com",
    "ada+lists@mail.example.co.uk",
    "A.Lovelace_1815@EXAMPLE.ORG",
    "müller@beispiel.de",
    "ops-team@eu-west.internal.example.io",
)
PHONES = (
    "+1 415 555 2671",
    "+14155552671",
    "+44 20 7946 0958",
    "+49 (0)30 901820",
    "+33 6 12 34 56 78",
    "+86 138 1234 5678",
    "(415) 555-2671",
    "415-555-2671",
    "1-800-555-0199",
    "415.555.2671",
)
NAMED_PHONES = ("Phone: 030 901820", "tel. 0176 12345678", "my mobile number is 07700 900123")
CARDS = (
    "4111111111111111",
    "4111 1111 1111 1111",
    "5500-0055-5555-5559",
    "3782 822463 10005",
    "6011111111111117",
    "2223003122003222",
)


def planted(seed: int = 0, rounds: int = 4) -> list[Planted]:
    """Some hundred, in sentences and in code."""
    random, found = Random(seed), list[Planted]()
    for _ in range(rounds):
        for name, key in _keys(random).items():
            found += _around(random, name.upper() + "_VALUE", "key", key, "API_KEY")
        for told, secret in _by_name(random):
            found.append(Planted(told.format(secret), secret, "API_KEY"))
    for kind, secrets, what in (
        ("EMAIL", EMAILS, "address"),
        ("PHONE", PHONES, "number"),
        ("CARD", CARDS, "card"),
    ):
        for secret in secrets:
            found += _around(random, f"{what}_of_it", what, secret, kind)  # type: ignore[arg-type]  # one of three
    found += [Planted(text, _digits_of(text), "PHONE") for text in NAMED_PHONES]
    return found


def _around(random: Random, name: str, what: str, secret: str, kind: Kind) -> list[Planted]:
    chosen = [random.choice(SAID), random.choice(WRITTEN)]
    return [Planted(one.format(what=what, name=name, it=secret), secret, kind) for one in chosen]


def _digits_of(text: str) -> str:
    start = next(i for i, one in enumerate(text) if one.isdigit())
    return text[start:]


def harmless(seed: int = 0, rounds: int = 20) -> list[Planted]:
    """What must survive, each in a sentence and in code."""
    random, found = Random(seed), list[Planted]()
    for _ in range(rounds):
        for make in _LIKENESSES:
            text = make(random)
            found.append(Planted(f"It says {text} and stops there."))
            found.append(Planted(f'value = "{text}"\nprint(value)'))
    return [*found, *map(Planted, HARMLESS)]


def _sha(name: str) -> Callable[[Random], str]:
    return lambda random: hashlib.new(name, random.randbytes(8)).hexdigest()


def _words(random: Random) -> str:
    return " ".join(random.choices(("some", "short", "words", "of", "text", "here"), k=4))


_LIKENESSES: Sequence[Callable[[Random], str]] = (
    _sha("md5"),
    _sha("sha1"),
    _sha("sha256"),
    _sha("sha512"),
    lambda random: str(uuid.UUID(bytes=random.randbytes(16), version=4)),
    lambda random: _drawn(random, HEXADECIMAL, 7),
    lambda random: "sha256-" + base64.b64encode(random.randbytes(32)).decode(),
    lambda random: "sha512-" + base64.b64encode(random.randbytes(64)).decode(),
    lambda random: base64.b64encode(_words(random).encode()).decode(),
    lambda random: f"2026-11-{random.randint(1, 28):02}T12:{random.randint(10, 59)}:00.123456Z",
    lambda random: f"2026-11-{random.randint(1, 28):02} 09:{random.randint(10, 59)}:30,512",
    lambda random: str(1_700_000_000 + random.randrange(10**8)),
    lambda random: str(1_700_000_000_000 + random.randrange(10**11)),
    lambda random: str(1_700_000_000_000_000_000 + random.randrange(10**17)),
    lambda random: ".".join(str(random.randrange(256)) for _ in range(4)),
    lambda random: ":".join(_drawn(random, HEXADECIMAL, 4) for _ in range(8)),
    lambda random: f"v{random.randrange(30)}.{random.randrange(300)}.{random.randrange(9)}-rc.1",
    lambda random: f"{random.random():.17f}",
    lambda random: f"0x{random.getrandbits(64):016x}",
    lambda random: f"arn:aws:iam::{random.randrange(10**11, 10**12)}:role/deploy-2",
    lambda random: f"req_{_drawn(random, HEXADECIMAL, 24)}",
    lambda random: f"call_{_drawn(random, LETTERS, 24)}",
    lambda random: f"chatcmpl-{_drawn(random, LETTERS, 22)}",
    lambda random: ":".join(_drawn(random, HEXADECIMAL, 2) for _ in range(6)),
)
HARMLESS = (
    "git clone git@github.com:org/repository.git && npm i left-pad@1.3.0 @types/node@20.1.2",
    "@app.route('/x')\ndef f(): return q@k.T + x@self.weight + (a@b.transpose(0, 1))",
    "systemctl restart getty@tty1.service && docker pull app@sha256:" + "ab12" * 16,
    "token = tokenizer.encode_plus(text2)[0]; token_type_ids = torch.zeros(32)",
    "api_key = os.environ['OPENAI_API_KEY']; secret = getpass.getpass()",
    "password = request.form.get('password2') or settings.DEFAULT_PASSWORD_V2",
    "api_key=YOUR_API_KEY_GOES_HERE1 password=${DB_PASSWORD1} token=<your-token-1>",
    "max_tokens=4096 prompt_tokens: 12345678, total_tokens: 87654321",
    "secret_name = 'memory-ops-upstream-api-key/2'",
    "AbstractSingletonProxyFactoryBean2InterceptorConfigurationV3Builder",
    "internationalization_of_the_pneumonoultramicroscopicsilicovolcanoconiosis_2",
    "sk-fading-circle sk-cube-grid-of-twenty-characters sk-circle-fade-dot-12",
    "ISBN 978-3-16-148410-0, DOI 10.1000/182, RFC 9110, ISO/IEC 7812-1:2017",
    "Order 4111-2222 shipped 2026-11-21, 16 digits: 1234567812345678",
    "3.14159265358979323846 2.718281828459045 6.02214076e23 +3.140000 -1234567.89",
    "diff --git a/x b/x\nindex 83db48f..bf269f4 100644\n--- a/x\n+++ b/x\n+1700000000\n+42",
    "4111 1111 1111 1112 has no check digit, and 0000 4111 1111 1111 1111 is a table",
    "100 200 300 4000 / 555-1234 / 12:30:45 / 1,234,567,890 / 10/12/2026",
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 2).decode(),
    "ssh-rsa " + "AAAAB3NzaC1yc2E" + base64.b64encode(bytes(range(200))).decode() + " host",
    "https://example.com/a/b/c_2f8e?utm_source=x1y2&id=9f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c#top",
)
