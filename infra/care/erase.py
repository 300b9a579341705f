"""Erases a person who cannot sign in to do it, as `DELETE /v1/memory` would; prints the receipt.

    STORE_URL=firestore://PROJECT/memory-ops RETRIEVER_URL=... BACKUP_RETENTION_DAYS=7 \\
        PYTHONPATH=functions:infra python -m care.erase google:110169484474386276334

Takes the service's own settings. Interrupted, it goes on when called again.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from gateway.errors import GatewayError
from gateway.portability.erasure import Erasure
from gateway.settings import Settings
from gateway.wiring.adapters import documents_from, ranker_from

KINDS = ("google:", "key:")


async def erase(settings: Settings, owner: str) -> dict[str, Any]:
    documents = documents_from(settings.store_url)
    try:
        ranker = ranker_from(settings)
        erasure = Erasure(documents, ranker, time.time, settings.backup_retention_days)
        return asdict(await erasure.erase(owner))
    finally:
        await documents.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Erases everything a person ever said.")
    parser.add_argument("owner", help="google:SUBJECT or key:NAME, exactly")
    owner = parser.parse_args().owner
    if not owner.startswith(KINDS):
        sys.exit(f"an owner begins with {' or '.join(KINDS)}: another name would erase nobody")
    try:
        print(json.dumps(asyncio.run(erase(Settings(), owner)), indent=2))
    except GatewayError as error:
        sys.exit(f"not erased: {error.message}")


if __name__ == "__main__":
    main()
