"""Every setting of the GPU tier, named once, with its default. Read by what starts it only."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_MODEL = "mistralai/Mistral-7B-v0.2"
DEFAULT_ADAPTER = "qrhead/mistral-7b-retriever"

Device = Literal["cuda", "cpu", "auto"]


def _adapter(given: dict[str, Any]) -> str:
    """An adapter fits one model."""
    return DEFAULT_ADAPTER if given.get("model_name") == DEFAULT_MODEL else ""


def _device(given: dict[str, Any]) -> Device:
    """The embedded model is small enough for whatever there is."""
    return "auto" if given.get("model_name", "").startswith("embedded:") else "cuda"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    # Model: an id on the Hugging Face hub, a folder here, or the embedded one's name
    model_name: str = DEFAULT_MODEL
    lora_id: str = Field(default_factory=_adapter)  # empty: no adapter
    model_revision: str = ""  # a commit; empty: the profile's
    lora_revision: str = ""
    device: Device = Field(default_factory=_device)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # fp32 on a CPU, else bf16
    profile_dir: Path | None = None  # searched before the profiles that ship
    retriever_cache: Path = Path("~/.cache/memory-ops/models")  # of the embedded model's copy

    # What is kept of memories that were read
    retriever_cache_bytes: int = Field(0, ge=0)  # 0: 60 % of free GPU memory, on a CPU 2 GiB
    retriever_idle_seconds: float = Field(600.0, gt=0)

    # Requests
    retriever_queue: int = Field(64, ge=1)
    retriever_host: str = "127.0.0.1"  # HOST and PORT are the gateway's, in the same .env
    retriever_port: int = Field(8090, ge=0, le=65_535)

    @field_validator("model_name", "lora_id", "model_revision", "lora_revision")
    @classmethod
    def _without_spaces(cls, value: str) -> str:
        return value.strip()

    @field_validator("profile_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("retriever_cache")
    @classmethod
    def _at_home(cls, value: Path) -> Path:
        return value.expanduser()
