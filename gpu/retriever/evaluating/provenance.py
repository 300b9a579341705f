"""What a figure depends on, so that it can be found again."""

import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from retriever.models.repository import sha256
from retriever.models.sentences import PACKAGE

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "safetensors",
    "numpy",
    PACKAGE.replace("_", "-"),
)


def provenance(files: Iterable[Path]) -> dict[str, Any]:
    """Of the code, the `files` of data, and what is installed."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "data_sha256": {file.name: sha256(file) for file in files},
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "threads": torch.get_num_threads(),
    }


def _git(*words: str) -> str:
    """Empty where there is no repository or no git."""
    try:
        ran = subprocess.run(  # noqa: S603  words of ours
            ["git", *words],  # noqa: S607  wherever it is installed
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ran.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
