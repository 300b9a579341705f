"""Debian's Chromium, for the tests of the console: found, or installed where that may be done."""

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
PATIENCE_SECONDS = 300

# No name but loopback's is resolved: nothing of a page reaches a network, Google's script neither.
ARGUMENTS = [
    "--no-sandbox",  # a container's root has no user namespaces
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
]


class ChromiumMissing(Exception):
    """Says which command brings it."""


def executable() -> str:
    """Its path. Raises `ChromiumMissing`."""
    if found := _found():
        return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(INSTALL, env=quiet, timeout=PATIENCE_SECONDS, capture_output=True)
        if found := _found():
            return found
    raise ChromiumMissing(f"the console is tested in Chromium: sudo {' '.join(INSTALL)}")


def _found() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)
