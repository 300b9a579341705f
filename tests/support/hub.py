"""A Hugging Face hub on loopback: one repository at one commit, and a log of what was fetched."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "c0ffee" * 6 + "beef"


class Hub:
    """Serves a folder as OWNER/NAME at `COMMIT`, which `main` points to."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.fetched: list[str] = []
        self.url = ""

    def tree(self) -> list[dict[str, Any]]:
        return [self._entry(path) for path in sorted(self.folder.iterdir())]

    def _entry(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        entry: dict[str, Any] = {
            "type": "file",
            "path": path.name,
            "size": len(content),
            "oid": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        }
        if path.suffix == ".safetensors":  # large files are named by their digest
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        return entry

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        path = path.partition("?")[0]
        api = f"/api/models/{self.name}"
        files = f"/{self.name}/resolve/{COMMIT}/"
        if path == f"{api}/revision/main":
            body = {"_id": "1", "id": self.name, "sha": COMMIT, "siblings": []}
            return 200, {}, json.dumps(body).encode()
        if path == f"{api}/tree/{COMMIT}":
            return 200, {}, json.dumps(self.tree()).encode()
        if path.startswith(files) and (self.folder / path.removeprefix(files)).is_file():
            return self._file(path.removeprefix(files))
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def _file(self, name: str) -> tuple[int, dict[str, str], bytes]:
        entry = self._entry(self.folder / name)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        return 200, headers, (self.folder / name).read_bytes()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/resolve/" in self.path:
                hub.fetched.append(self.path.rpartition("/")[2])
            self.wfile.write(self._head())

        def do_HEAD(self) -> None:
            self._head()

        def _head(self) -> bytes:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            return body

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler
