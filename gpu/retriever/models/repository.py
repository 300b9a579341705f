"""Where a model's files are: a folder here, or a commit of a repository on the Hugging Face hub.

Knows files, not what is in them. Nothing but data is ever fetched: no pickles, no code.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from retriever.errors import Unusable

DESCRIPTIONS = (
    "config.json",
    "adapter_config.json",
    "model.safetensors.index.json",
    "README.md",
    "tokenizer.json",
    "tokenizer_config.json",
)
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LICENCE = re.compile(r"^license:\s*[\"']?([\w.-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A file that was loaded, for the record."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Repository:
    name: str
    revision: str | None  # the commit; None of a folder here
    folder: Path
    on_hub: bool = False

    def fetch(self, files: Sequence[str]) -> None:
        """Raises Unusable: the hub cannot be reached, refuses, or has no such model."""
        if self.on_hub and not all((self.folder / file).exists() for file in files):
            _download(self.name, self.revision, files)

    def path(self, file: str) -> Path:
        """Raises Unusable: it is not there."""
        path = self.folder / file
        if not path.is_file():
            raise Unusable(f"{self.name} has no {file}")
        return path

    @property
    def licence(self) -> str:
        """As its README's front matter declares it, or "unknown"."""
        readme = self.folder / "README.md"
        if not readme.is_file():
            return "unknown"
        front = readme.read_text("utf-8", "replace").partition("\n---")[0]
        found = _LICENCE.search(front)
        return found[1] if found else "unknown"


def open_repository(name: str, revision: str | None, setting: str) -> Repository:
    """`setting` names where the revision comes from, for the message.

    A branch such as `main` is taken too, and resolved to the commit it points to now. With the
    hub away, what was fetched of a commit before is found on disk.

    Raises Unusable: neither a folder nor a hub's id, a hub's id without a revision, or no answer.
    """
    if name and Path(name).is_dir():
        return Repository(name, None, Path(name))
    if not _HUB_ID.fullmatch(name):
        raise Unusable(f"{name} is neither a folder here nor an OWNER/NAME of the hub")
    if not revision:
        raise Unusable(
            f"{name} would be loaded in whatever version is newest: set {setting} to the commit "
            f"that was checked ({setting}=main takes the newest after all)"
        )
    folder = _download(name, revision, DESCRIPTIONS)
    return Repository(name, folder.name, folder, on_hub=True)


def sha256(path: Path) -> str:
    """The hub's cache names a large file by its digest, which spares reading it again."""
    if _SHA256.fullmatch(target := path.resolve().name):
        return target
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except Exception as exc:  # of the hub, of its client's client, of the network and the disk
        raise Unusable(
            f"{name} at {revision} could not be fetched from the hub ({type(exc).__name__}): is "
            "there such a model and revision, is the hub reachable, does HF_TOKEN open it?"
        ) from exc
