"""A model, with its adapter and its profile, as a method to compare."""

import json
import time
from dataclasses import dataclass
from typing import Any

import torch

from retriever.evaluating.combining import combinations
from retriever.evaluating.heads import Book, Heads, Sight, Timer
from retriever.evaluating.nearness import Nearness
from retriever.models.checkpoint import Checkpoint
from retriever.models.loading import cache_bytes
from retriever.models.sentences import MINILM, Sentences, identity_of, load_sentences
from retriever.profile import Profile
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.likeness import Embedder
from retriever.reading.reader import Reader
from retriever.serving.building import PASS_ROWS, PASS_ROWS_OF_A_GPU, prompt_of
from retriever.settings import Settings

GATEWAY_SHARE = 0.9  # of a profile's window: its tokens and ours are not the same


@dataclass(frozen=True)
class Contender:
    """`name` tells it from others in a table."""

    name: str
    checkpoint: Checkpoint
    profile: Profile
    settings: Settings

    def length(self, text: str) -> int:
        """In the model's own tokens, without the label that numbers a chunk."""
        ids = self.checkpoint.tokenizer.encode(
            text.encode("utf-8", "replace").decode(),
            add_special_tokens=False,
            split_special_tokens=True,
        )
        return len(ids)

    def reader(self, embedder: Embedder | None = None, asked_share: float = 1.0) -> Reader:
        decoder = Decoder(self.checkpoint.model, self.profile.heads)
        device = torch.device(decoder.shape.device)
        return Reader(
            decoder,
            prompt_of(self.checkpoint, self.profile),
            WindowCache(cache_bytes(self.settings, device), float("inf"), time.monotonic),
            window_tokens=self.profile.window_tokens,
            pass_rows=PASS_ROWS.get(device.type, PASS_ROWS_OF_A_GPU),
            length_power=self.profile.length_power,
            embedder=embedder,
            asked_share=asked_share,
        )

    @property
    def gateway_tokens(self) -> int:
        """Of a window as the gateway makes it, were it told how long the profile's are."""
        return round(GATEWAY_SHARE * self.profile.window_tokens)

    def nearness(self, book: Book, timer: Timer, name: str = MINILM) -> Nearness:
        model = self.checkpoint.model

        def make() -> Sentences:
            return load_sentences(name, model.device, model.dtype)

        known = identity_of(name, model.dtype)
        return Nearness(known, make, self.gateway_tokens, book, timer)

    def method(self, max_tokens: int, book: Book, timer: Timer, *, ablations: bool) -> Heads:
        profile, embedding = self.profile, self.profile.embedding
        rows = combinations(
            self.name, profile.fusion_weight, profile.floor, embedding, ablations=ablations
        )
        near = self.nearness(book, timer, embedding.model).meet if embedding else None
        sight = Sight(self.gateway_tokens, max_tokens)
        known = json.dumps([self.identity(), self.profile.digest], sort_keys=True)
        return Heads(known, self.reader, sight, rows, book, timer, near)

    def identity(self) -> dict[str, Any]:
        """For the record."""
        adapter = self.checkpoint.adapter
        return {
            "model": self.checkpoint.name,
            "revision": self.checkpoint.revision,
            "adapter": adapter and adapter.name,
            "adapter_revision": adapter and adapter.revision,
            "profile": self.profile.digest,
            "window_tokens": self.profile.window_tokens,
            "dtype": str(self.checkpoint.model.dtype).removeprefix("torch."),
            "device": str(self.checkpoint.model.device),
            "files_sha256": {one.file: one.sha256 for one in self.checkpoint.sources()},
        }
