"""The local launcher behind `make run`: the production entry point, with an issuer of its own.

Sets what a laptop has no cloud for, starts a retriever beside it where one is wanted, says how to
talk to the service, and hands over to functions-framework, which is what Cloud Run starts too.
"""

import argparse
import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway.documents.base import StoreUnavailable
from gateway.documents.sqlite import SqliteDocuments
from gateway.identity.development import DevelopmentIssuer
from gateway.settings import Settings

SOURCE = Path(__file__).with_name("main.py")
DEVELOPMENT_AUDIENCE = "memory-ops-development.apps.googleusercontent.com"
TOKEN_SECONDS = 12 * 3600
NICENESS = 10  # of the retriever: the gateway answers first
EXAMPLE_MODEL = "gpt-4.1-mini"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8080")))
    parser.add_argument("--retriever-port", type=int, help="start a retriever there, and use it")
    parser.add_argument("--reset", action="store_true", help="empty the local store and leave")
    arguments = parser.parse_args()
    if arguments.reset:
        reset(Settings())
        return
    prepare(arguments.port)
    if arguments.retriever_port and "retriever_url" not in Settings().model_fields_set:
        start_retriever(arguments.retriever_port)
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


def start_retriever(port: int) -> None:
    """A process of its own at RETRIEVER_URL, which ends with this one: when the pipe that it reads
    is closed, whose other end stays open in whatever this process becomes.

    Somebody else's port is left alone, and nothing is sent there. The listening socket is the
    retriever's alone from its start on: once it has died, connections are refused at once.
    """
    try:
        listening = socket.create_server(("127.0.0.1", port)).detach()
    except (OSError, OverflowError) as error:
        print(f"no retriever: port {port} cannot be had ({error}); RETRIEVER_PORT= names another")
        return
    theirs, ours = os.pipe()
    os.set_inheritable(ours, True)
    options = ["--embedded", "--until-stdin-ends", f"--fd={listening}"]
    command = [sys.executable, "-m", "retriever", "serve", *options]
    quiet = {"OMP_WAIT_POLICY": "passive"}  # threads that spin would take the gateway's cores
    subprocess.Popen(  # noqa: S603  our own module
        command,
        stdin=theirs,
        pass_fds=[listening],
        env={**quiet, **os.environ},
        preexec_fn=lambda: os.nice(NICENESS),
    )
    os.close(theirs)
    os.close(listening)
    os.environ["RETRIEVER_URL"] = f"http://127.0.0.1:{port}"


def greeting(settings: Settings, port: int) -> str:
    """What is printed before the service starts: the request ends it, ready to paste."""
    url = f"http://127.0.0.1:{port}"
    header, origin = credential(settings)
    preview = settings.upstream_base in {"", "preview:"}
    upstream = "none: the preview shows what would be sent" if preview else settings.upstream_base
    model = "preview" if preview else EXAMPLE_MODEL
    named = "any name will do" if preview else f"an example: {url}/v1/models lists the upstream's"
    return f"""memory-ops is starting on {url}
  console   {url}/
  data      {store_of(settings)}
  retriever {retriever_of(settings)}
  upstream  {upstream}
  model     {model} ({named})
  sign-in   {origin}
  try       curl -s {url}/v1/chat/completions \\
              -H {header} \\
              -H "Content-Type: application/json" \\
              -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
"""


def credential(settings: Settings) -> tuple[str, str]:
    """The request's `Authorization` header as a shell's word, and where the credential is from."""
    if settings.development_issuer:
        issuer = DevelopmentIssuer(settings.development_key_file, time.time)
        token = issuer.issue("you", min(settings.audiences), TOKEN_SECONDS)
        return f'"Authorization: Bearer {token}"', "an ID token of the development issuer, for you"
    if key := first_key(settings.api_keys.get_secret_value()):
        return shlex.quote(f"Authorization: Bearer {key}"), "the first of API_KEYS"
    origin = "ID_TOKEN is what Google Identity Services hands a page of GOOGLE_CLIENT_ID"
    return '"Authorization: Bearer $ID_TOKEN"', origin


def first_key(api_keys: str) -> str:
    """The key of the first `name:key` or bare key; empty when there is none."""
    entries = [entry.strip() for entry in api_keys.split(",") if entry.strip()]
    if not entries:
        return ""
    name, colon, key = entries[0].partition(":")
    return key.strip() if colon else name


def store_of(settings: Settings) -> str:
    emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if emulator and settings.store_url.startswith("firestore:"):
        return f"{settings.store_url} in the emulator at {emulator}, gone when it stops"
    return str(data_file(settings) or settings.store_url)


def retriever_of(settings: Settings) -> str:
    if settings.retriever_url == "lexical:":
        return "none: memories are ranked by the words they share with the question"
    return f"{settings.retriever_url} (by shared words until it is ready)"


def data_file(settings: Settings) -> Path | None:
    parts = urlsplit(settings.store_url)
    return Path(parts.path[1:]).resolve() if parts.scheme == "sqlite" else None


def reset(settings: Settings) -> None:
    """Empty the local store, beneath a running service too; refuses what is no local file."""
    file = data_file(settings)
    if file is None:
        sys.exit(f"reset empties a local SQLite store only, and STORE_URL is {settings.store_url}")
    if file.exists():
        asyncio.run(_clear(file))
    print(f"emptied {file}")


async def _clear(file: Path) -> None:
    documents = SqliteDocuments(str(file))
    try:
        await documents.clear()
    except StoreUnavailable:
        sys.exit(f"{file} is busy, or no database of ours; try again when nothing holds it")
    finally:
        await documents.close()


if __name__ == "__main__":
    main()
