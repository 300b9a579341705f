"""`python -m retriever serve|detect|train|evaluate`: each command with arguments of its own."""

import argparse
import contextlib
import importlib
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

import uvicorn

from retriever.serving.arrival import Ranker
from retriever.serving.serve import build_app
from retriever.settings import Settings
from retriever_contract.wire import Health

# What each but `serve` runs: the module's `main(arguments)`.
MODULES = {
    "detect": "retriever.judging.detect",
    "train": "retriever.learning.train",
    "evaluate": "retriever.evaluating.evaluate",
}
STOP_SECONDS = 10  # for answers on their way when the server is told to stop


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="retriever", description=__doc__)
    parser.add_argument("command", choices=["serve", *MODULES])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="COMMAND --help lists them")
    given = parser.parse_args(argv)
    if given.command == "serve":
        serve(given.arguments)
    else:
        forward(given.command, given.arguments)


def forward(command: str, arguments: Sequence[str]) -> None:
    """Exits with a sentence when this copy does not carry the command."""
    name = MODULES[command]
    if importlib.util.find_spec(name) is None:
        sys.exit(f"retriever {command} is not part of this copy: there is no module {name}")
    importlib.import_module(name).main(list(arguments))


def serve(arguments: Sequence[str]) -> None:
    """Serve over HTTP until told to stop; the model loads meanwhile."""
    settings = Settings()
    given = serving_options(settings).parse_args(arguments)
    inherited = None if given.fd is None else [inherited_socket(given.fd)]
    host = inherited[0].getsockname()[0] if inherited else given.host
    if not (given.public or is_loopback(host)):
        sys.exit(f"{host} can be reached by others, and nobody signs in here: --public")

    def start() -> Ranker:
        from retriever.serving.building import (
            load_engine,  # torch: seconds, so after the server listens
        )

        return load_engine(embedded_where_none_is_named(settings) if given.embedded else settings)

    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("retriever").setLevel(logging.INFO)  # ours alone: torch tells a lot
    config = uvicorn.Config(
        build_app(start, announce),
        host=given.host,
        port=given.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    if given.until_stdin_ends:
        threading.Thread(target=stop_when_stdin_ends, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands it on after its shutdown
        AnnouncingServer(config).run(inherited)


def serving_options(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="retriever serve", description=serve.__doc__)
    parser.add_argument("--host", default=settings.retriever_host)
    parser.add_argument("--port", type=int, default=settings.retriever_port)
    parser.add_argument(
        "--fd", type=int, help="a listening TCP socket that was handed down, for host and port"
    )
    parser.add_argument(
        "--public", action="store_true", help="listen beyond loopback, though nobody signs in here"
    )
    parser.add_argument(
        "--embedded", action="store_true", help="without MODEL_NAME, the model that is installed"
    )
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop with the process that started this"
    )
    return parser


def inherited_socket(fd: int) -> socket.socket:
    """Exits with a sentence where it is none."""
    try:
        listening = socket.socket(fileno=fd)
    except OSError as exc:
        sys.exit(f"--fd {fd} is no socket: {exc.strerror}")
    inet = listening.family in {socket.AF_INET, socket.AF_INET6}
    if not inet or listening.type != socket.SOCK_STREAM:
        sys.exit(f"--fd {fd} is no TCP socket")
    return listening


def embedded_where_none_is_named(settings: Settings) -> Settings:
    """With the adapter made for it, unless LORA_ID says which or that there be none; on whatever
    device there is, unless DEVICE says which."""
    from retriever.models.embedded import ADAPTER, EMBEDDED

    given = settings.model_fields_set
    if "model_name" in given:
        return settings
    device = settings.device if "device" in given else "auto"
    adapter = settings.lora_id if "lora_id" in given else ADAPTER
    chosen = {"model_name": EMBEDDED, "model_revision": "", "lora_id": adapter, "device": device}
    return settings.model_copy(update=chosen)


def stop_when_stdin_ends() -> None:
    """Reads the descriptor, for a buffered read would hold its lock to the end of the process."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class AnnouncingServer(uvicorn.Server):
    """Says where it listens once it does: port 0 is the system's to choose."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                say(f"listening on http://{_bracketed(host)}:{port}")


def announce(health: Health) -> None:
    """One line of how the loading ended."""
    facts, device = health.facts, health.device
    if health.status != "ready" or facts is None:
        say(f"not usable: {health.message}")
        return
    adapter = facts.adapter or "no adapter"
    where = device.name if device else "an unnamed device"
    say(f"ready: {facts.model}, {adapter}, profile {facts.profile}, on {where}")


def say(line: str) -> None:
    print(f"retriever {line}", flush=True)  # noqa: T201  a launcher talks to a terminal


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # another name may lead anywhere


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    main()
