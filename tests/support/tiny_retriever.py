"""A retriever of the smallest kind: a tiny random model in a folder, and its profile."""

import json
from pathlib import Path

from support.tiny_models import save_tiny

PROFILE = {
    "name": "tiny",
    "heads": ["1-3", "2-5"],
    "window_tokens": 512,
    "chunk_tokens": 64,
    "query_tokens": 32,
    "floor": 0.0,
    "user_opener": "<|im_start|>",
    "assistant_opener": "<|im_end|>",
    "bos": True,
}


def tiny_settings(folder: Path) -> dict[str, str]:
    """Writes both, and returns the environment that makes a retriever of them."""
    model, profiles = folder / "model", folder / "profiles"
    model.mkdir()
    profiles.mkdir()
    save_tiny(model, "llama")
    (profiles / "tiny.json").write_text(json.dumps({**PROFILE, "model": str(model)}))
    return {
        "MODEL_NAME": str(model),
        "LORA_ID": "",
        "PROFILE_DIR": str(profiles),
        "DEVICE": "cpu",
        "RETRIEVER_CACHE_BYTES": str(64 * 1024 * 1024),
    }
