"""The local launcher behind `make run`: the production entry point, with an issuer of its own.

Sets what a laptop has no cloud for, says how to talk to the service, and hands over to
functions-framework, which is what Cloud Run starts too.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway.identity.development import DevelopmentIssuer
from gateway.settings import Settings

SOURCE = Path(__file__).with_name("main.py")
DEVELOPMENT_AUDIENCE = "memory-ops-development.apps.googleusercontent.com"
TOKEN_SECONDS = 12 * 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8080")))
    parser.add_argument("--reset", action="store_true", help="empty the local store and leave")
    arguments = parser.parse_args()
    if arguments.reset:
        reset(Settings())
        return
    prepare(arguments.port)
    settings = Settings()
    print(greeting(settings, arguments.port), flush=True)
    command = ["--target=gateway", f"--source={SOURCE}", f"--port={arguments.port}", "--asgi"]
    framework = [sys.executable, "-m", "functions_framework", *command]
    os.execv(sys.executable, framework)  # noqa: S606  our own interpreter, no shell


def prepare(port: int) -> None:
    """Without a client id of its own, a local run signs its own ID tokens."""
    os.environ.setdefault("HOST", "127.0.0.1")
    settings = Settings()
    if not settings.google_client_id:
        os.environ["DEVELOPMENT_ISSUER"] = "true"
        os.environ["GOOGLE_CLIENT_ID"] = DEVELOPMENT_AUDIENCE
        os.environ["GOOGLE_CERTS_URL"] = f"http://127.0.0.1:{port}/development/certs"


def greeting(settings: Settings, port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    upstream = settings.upstream_base or "none: the preview shows what would be sent"
    return f"""memory-ops is starting on {url}
  data      {store_of(settings)}
  upstream  {upstream}
  try       curl -s {url}/v1/chat/completions \\
              -H "Authorization: Bearer {credential(settings)}" \\
              -H "Content-Type: application/json" \\
              -d '{{"model": "preview", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
"""


def credential(settings: Settings) -> str:
    if not settings.development_issuer:
        return "$ID_TOKEN"
    issuer = DevelopmentIssuer(settings.development_key_file, time.time)
    return issuer.issue("you", min(settings.audiences), TOKEN_SECONDS)


def store_of(settings: Settings) -> str:
    return str(data_file(settings) or settings.store_url)


def data_file(settings: Settings) -> Path | None:
    parts = urlsplit(settings.store_url)
    return Path(parts.path[1:]).resolve() if parts.scheme == "sqlite" else None


def reset(settings: Settings) -> None:
    """Remove the local store's files; refuses anything that is no local file."""
    file = data_file(settings)
    if file is None:
        sys.exit(f"reset empties a local SQLite store only, and STORE_URL is {settings.store_url}")
    removed = [Path(f"{file}{suffix}") for suffix in ("", "-wal", "-shm")]
    for path in removed:
        path.unlink(missing_ok=True)
    print(f"emptied {file}")


if __name__ == "__main__":
    main()
