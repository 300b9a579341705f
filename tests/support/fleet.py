"""Several processes of the service over one Firestore database, as instances of Cloud Run are."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.load import Sample, chat_request, drive
from support.chats import user
from support.emulator import Emulator
from support.service import Service


def firestore(emulator: Emulator, project: str) -> dict[str, str]:
    """The settings of a service on the emulator."""
    return {
        "STORE_URL": f"firestore://{project}/(default)",
        "FIRESTORE_EMULATOR_HOST": emulator.host,
    }


@contextlib.contextmanager
def fleet(folder: Path, *settings: Mapping[str, str]) -> Iterator[list[Service]]:
    """A process for each, started side by side."""
    services = [Service(folder, **each) for each in settings]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(services)) as pool:
        for service in services:
            stack.callback(service.kill)
        list(pool.map(Service.start, services))
        yield services


def asking(text: str, headers: Mapping[str, str], **fields: object) -> bytes:
    """A chat request as it goes over the wire."""
    return chat_request({"model": "m", "messages": [user(text)], **fields}, headers)


async def at_once(asked: Mapping[int, Sequence[bytes]]) -> dict[int, Sequence[Sample]]:
    """The answers by port, in the order of the requests: each on an open connection of its own."""
    blocks = await asyncio.gather(
        *(drive(port, [[request] for request in requests]) for port, requests in asked.items())
    )
    return {port: block.samples for port, block in zip(asked, blocks, strict=True)}
