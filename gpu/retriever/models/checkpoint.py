"""A base decoder of transformers with its tokenizer: only layers that score, checked before use.

Families: Llama, Mistral, Qwen2, Qwen3. Nobody's code runs (`trust_remote_code=False`, tokenizers
from `tokenizer.json`), nothing is unpickled, nothing is guessed: what does not fit is refused.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerFast
from transformers.configuration_utils import PreTrainedConfig

from retriever.errors import Unusable
from retriever.models.adapter import Adapter, merge_adapter, open_adapter
from retriever.models.embedded import embedded_repository, is_embedded
from retriever.models.repository import Repository, Source, open_repository, sha256
from retriever.models.weights import read_weights

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# turns that do not depend on how long the prompt has become: kept keys stay valid
_STEADY_ROPE = ("default", "linear", "llama3", "yarn")
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True)
class Checkpoint:
    model: PreTrainedModel  # the base decoder: `LlamaModel` and its like, layers 0 to the deepest
    tokenizer: PreTrainedTokenizerFast
    name: str
    revision: str | None  # the commit; None of a folder
    licence: str
    adapter: Adapter | None
    files: tuple[Path, ...]

    def sources(self) -> tuple[Source, ...]:
        """Reads every file that did not come from the hub once: seconds for billions of weights."""
        adapter = (self.adapter.file,) if self.adapter else ()
        return tuple(Source(path.name, sha256(path)) for path in (*self.files, *adapter))


def load_checkpoint(
    model_name: str,
    *,
    lora_id: str | None,
    revision: str | None,
    lora_revision: str | None,
    device: torch.device,
    dtype: torch.dtype,
    deepest_layer: int,
    needed_tokens: int,
    cache: Path,
) -> Checkpoint:
    """`needed_tokens` is the longest prompt; `cache` is where the embedded model's copy lies.

    Raises Unusable, and says what to do.
    """
    repository = _repository(model_name, revision, cache)
    config = _shortened(_config(repository), deepest_layer, needed_tokens, repository)
    tokenizer = _tokenizer(repository)
    model, files = _model(repository, config, device, dtype)
    adapter = None
    if lora_id:
        source = open_adapter(lora_id, lora_revision)
        model, adapter = merge_adapter(model, source, deepest_layer)
    return Checkpoint(
        model=model.eval().requires_grad_(False),  # type: ignore[no-untyped-call]  # untyped there
        tokenizer=tokenizer,
        name=model_name,
        revision=repository.revision,
        licence=repository.licence,
        adapter=adapter,
        files=files,
    )


def _repository(model_name: str, revision: str | None, cache: Path) -> Repository:
    if is_embedded(model_name):
        return embedded_repository(model_name, cache)
    return open_repository(model_name, revision, "MODEL_REVISION")


def _config(repository: Repository) -> dict[str, Any]:
    """config.json as it is written: transformers fills gaps with defaults that are not the model's.

    Raises Unusable: no config, another family, code of its own, quantised.
    """
    config = _json(repository, "config.json")
    family = config.get("model_type")
    if "auto_map" in config:
        raise Unusable(f"{repository.name} brings code of its own, which is never run")
    if family not in FAMILIES:
        raise Unusable(
            f"{repository.name} is of the family {family!r}; known are {', '.join(FAMILIES)}"
        )
    if config.get("quantization_config"):
        raise Unusable(f"{repository.name} is quantised; name its unquantised original")
    return config


def _json(repository: Repository, file: str) -> dict[str, Any]:
    try:
        content = json.loads(repository.path(file).read_bytes())
    except ValueError as exc:
        raise Unusable(f"{repository.name}: {file} is no JSON") from exc
    if not isinstance(content, dict):
        raise Unusable(f"{repository.name}: {file} holds no object")
    return content


def _shortened(
    written: dict[str, Any], deepest_layer: int, needed_tokens: int, repository: Repository
) -> PreTrainedConfig:
    """The configuration of layers 0 to `deepest_layer`, each of which sees the whole prompt."""
    name, layers = repository.name, deepest_layer + 1
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            repository.folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as exc:  # whatever a configuration's own checks raise
        raise Unusable(f"{name}: config.json is not usable: {exc}") from exc
    if layers > config.num_hidden_layers:
        raise Unusable(f"{name} has {config.num_hidden_layers} layers, none numbered {layers - 1}")
    if needed_tokens > config.max_position_embeddings:
        raise Unusable(
            f"{name} has {config.max_position_embeddings} positions and {needed_tokens} are "
            "needed: lower window_tokens in its profile"
        )
    _refuse_short_sliding_window(name, written, config, layers, needed_tokens)
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    if rope not in _STEADY_ROPE:
        raise Unusable(f"{name} turns positions by {rope!r}, differently as a prompt grows")
    config.num_hidden_layers = layers
    config.sliding_window = None  # none that is shorter than the prompt, so none at all
    if getattr(config, "layer_types", None):
        config.layer_types = ["full_attention"] * layers
    return config


def _refuse_short_sliding_window(
    name: str, written: dict[str, Any], config: PreTrainedConfig, layers: int, needed_tokens: int
) -> None:
    """`written` decides: transformers gives a Mistral without one a window of 4096."""
    window = written.get("sliding_window")
    if window is None or window >= needed_tokens:
        return
    types = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    sliding = config.model_type == "mistral" or bool(written.get("use_sliding_window"))
    if sliding and "sliding_attention" in types[:layers]:
        raise Unusable(
            f"{name} sees {window} tokens back in a layer that scores and {needed_tokens} are "
            "needed: lower window_tokens in its profile"
        )


def _tokenizer(repository: Repository) -> PreTrainedTokenizerFast:
    """tokenizer.json to the letter; classes of transformers build some of it anew."""
    path = repository.path("tokenizer.json")
    special = _special_tokens(repository)
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as exc:  # tokenizers raises bare Exception
        raise Unusable(f"{repository.name}: tokenizer.json is damaged: {exc}") from exc
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)  # type: ignore[no-untyped-call]  # untyped there


def _special_tokens(repository: Repository) -> dict[str, str]:
    if not (repository.folder / "tokenizer_config.json").is_file():
        return {}
    written = _json(repository, "tokenizer_config.json")
    tokens = {}
    for kind in _SPECIAL_TOKENS:
        token = written.get(kind)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            tokens[kind] = token
    return tokens


def _model(
    repository: Repository, config: PreTrainedConfig, device: torch.device, dtype: torch.dtype
) -> tuple[PreTrainedModel, tuple[Path, ...]]:
    """Built without memory, then given the checkpoint's tensors, one file at a time."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]  # untyped there
            config, attn_implementation="sdpa", dtype=dtype, trust_remote_code=False
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tensors, files = read_weights(repository, shapes, device, dtype)
    model.load_state_dict(tensors, strict=True, assign=True)
    model.rotary_emb = type(model.rotary_emb)(config).to(device)  # its buffers are in no file
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise Unusable(f"{repository.name}: transformers wants weights that no file holds")
    return model, files
