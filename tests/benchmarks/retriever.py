"""`make bench-gpu`: the retriever beside the published implementation, in one run.

    python tests/benchmarks/retriever.py --device cuda --model 8b --tokens 2048 8192 16384

Four works over one memory, in turning order, so that a busy machine hits all alike:

    published   all layers read memory and question, and the null question over what was kept
    cold        ours, of a memory never seen
    +1 turn     ours, of a memory whose last turn is new
    repeated    ours, another question about a memory that was read

Memory is one window as long as asked for. The 8B model has the shape of Llama-3.1-8B and random
weights: its times are real, its scores mean nothing, and its tokens are whole words. The embedded
model is itself; beyond its 8,192 positions its times are real and its scores mean nothing either.
There is no pass and no fail.

The share of the peak takes FLOPs from the closed form (`gpu/flops.py`) and the peak from a product
of large matrices in this run; bytes per second at the repeated question are of the weights that it
runs through and of the keys and values it looks at. Peak memory, of a GPU, is what a work takes
beside what is there before it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final
from zlib import crc32

import torch
from transformers import AutoModel, LlamaConfig

sys.path.insert(0, str(Path(__file__).parents[1]))  # where a script finds `gpu.flops`
sys.path.insert(0, str(Path(__file__).parents[2] / "gpu"))  # ahead of this file, of the same name
from gpu.flops import ClosedForm, Suffix
from gpu.reference import published_scores
from retriever.errors import Unusable
from retriever.models.checkpoint import load_checkpoint
from retriever.models.embedded import EMBEDDED
from retriever.models.loading import chosen_device, chosen_dtype
from retriever.profile import Profile, find_profile, profile_folders
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.jobs import Job
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever.serving.building import PASS_ROWS, PASS_ROWS_OF_A_GPU
from retriever.settings import Settings
from retriever_contract.wire import Chunk

SEED: Final = 7
WORKS: Final = ("published", "cold", "+1 turn", "repeated")
TURN_TOKENS: Final = 300
CHUNK_WORDS: Final = 110
MOST_BYTES: Final = 1 << 40
EMBEDDED_LAYERS: Final = 30
LLAMA: Final = "meta-llama/Llama-3.1-8B-Instruct"
QUERIES: Final = ("when did she paint the kitchen?", "who has lent him the red bicycle?")
TEXT: Final = (
    "the a my her his we she he they it was is had has and but then so because in on at of to with"
    " garden kitchen bicycle winter summer cat dog sister doctor train ticket letter river painted"
    " lent bought forgot found moved asked told slept waited red old small warm late quiet green"
    " Monday Friday March two seven ninety Lisbon Hamburg Ana Peter Rex"
)


class WholeWords:
    """A tokenizer for a model that knows no language: any word is one token."""

    bos_token_id = 0

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary

    def encode(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool
    ) -> list[int]:
        return [crc32(word.encode()) % self._vocabulary for word in text.split()]


@dataclass(frozen=True)
class Subject:
    """The model that both implementations run, whole: ours leaves its upper layers alone."""

    name: str
    model: Any
    profile: Profile
    prompt: Prompt
    device: torch.device

    @property
    def form(self) -> ClosedForm:
        return ClosedForm.of(self.model.config, self.profile.heads)

    @property
    def positions(self) -> int:
        return int(self.model.config.max_position_embeddings)

    def weight_bytes(self, layers: int) -> int:
        parameters = (one for layer in self.model.layers[:layers] for one in layer.parameters())
        return sum(one.nbytes for one in parameters)


def subject(kind: str, settings: Settings) -> Subject:
    """Raises Unusable, and says what to do."""
    device = chosen_device(settings)
    dtype = chosen_dtype(settings, device)
    name = EMBEDDED if kind == "embedded" else LLAMA
    profile = find_profile(name, None, profile_folders(settings.profile_dir))
    model, tokenizer = (_embedded if kind == "embedded" else _of_8b)(settings, device, dtype)
    prompt = Prompt(tokenizer, profile, tokenizer.bos_token_id if profile.bos else None)
    return Subject(kind, model, profile, prompt, device)


def _embedded(settings: Settings, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    checkpoint = load_checkpoint(
        EMBEDDED,
        lora_id=None,
        revision=None,
        lora_revision=None,
        device=device,
        dtype=dtype,
        deepest_layer=EMBEDDED_LAYERS - 1,
        needed_tokens=1,
        cache=settings.retriever_cache,
    )
    return checkpoint.model, checkpoint.tokenizer


def _of_8b(_: Settings, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=131_072,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )
    torch.manual_seed(SEED)
    with device:
        made: Callable[..., Any] = AutoModel.from_config  # untyped over there
        model = made(config, dtype=dtype, attn_implementation="sdpa")
    return model.eval(), WholeWords(config.vocab_size)


@dataclass(frozen=True)
class Memory:
    """Chunks of about `tokens` in all, the last of which is the new turn."""

    chunks: Sequence[Chunk]
    tokens: int
    turn: int  # tokens of the last


def memory(prompt: Prompt, tokens: int) -> Memory:
    randomness = Random(SEED)
    texts: list[str] = []
    used = len(prompt.opening)
    while True:
        text = _speech(randomness, CHUNK_WORDS)
        size = _size(prompt, len(texts) + 1, text)
        if used + size + TURN_TOKENS > tokens:
            break
        texts.append(text)
        used += size
    texts.append(_turn(prompt, randomness, len(texts) + 1))
    turn = _size(prompt, len(texts), texts[-1])
    chunks = [Chunk(id=str(number), text=text) for number, text in enumerate(texts)]
    return Memory(chunks, used + turn, turn)


def _turn(prompt: Prompt, randomness: Random, number: int) -> str:
    """As many words as make `TURN_TOKENS`, or the first that go beyond."""
    words: list[str] = []
    while _size(prompt, number, " ".join(words)) < TURN_TOKENS:
        words.append(randomness.choice(TEXT.split()))
    return " ".join(words)


def _speech(randomness: Random, words: int) -> str:
    return "user: " + " ".join(randomness.choices(TEXT.split(), k=words))


def _size(prompt: Prompt, number: int, text: str) -> int:
    return sum(map(len, prompt.chunk(number, text)))


@dataclass(slots=True)
class Figures:
    """Of each work: seconds and peak bytes, one a repeat; and the scores that came out last."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {work: [] for work in WORKS})
    peaks: dict[str, list[int]] = field(default_factory=lambda: {work: [] for work in WORKS})
    scores: dict[str, list[float]] = field(default_factory=dict)
    window_bytes: int = 0
    peak_flops: float = 0.0  # a second

    def ms(self, work: str) -> float:
        return 1000 * median(self.seconds[work])

    def ratio(self, work: str) -> float:
        return self.ms("published") / self.ms(work)

    def peak(self, work: str) -> str:
        return f"{max(self.peaks[work]) / 2**20:,.0f}" if any(self.peaks[work]) else "-"


class Rivals:
    """Both implementations over one memory."""

    def __init__(self, subject: Subject, memory: Memory) -> None:
        self._subject = subject
        self._memory = memory
        rows = PASS_ROWS.get(subject.device.type, PASS_ROWS_OF_A_GPU)
        self._reader = Reader(
            Decoder(subject.model, subject.profile.heads),
            subject.prompt,
            WindowCache(MOST_BYTES, float("inf"), time.monotonic),
            window_tokens=memory.tokens,
            pass_rows=rows,
        )
        self._owners = (f"{number:016}" for number in count())
        self._owner = ""

    def measure(self, repeats: int) -> Figures:
        figures = Figures()
        subject = self._subject
        for _ in range(repeats):
            reached = peak_flops(subject.device, subject.model.dtype)
            figures.peak_flops = max(figures.peak_flops, reached)
            for work in WORKS:
                self._prepare(work)
                figures.scores[work] = self._timed(work, figures)
            figures.window_bytes = self._reader.cache.bytes_kept
        return figures

    def _prepare(self, work: str) -> None:
        """What the work finds: nothing, all but the last turn, or all; published keeps nothing."""
        cache = self._reader.cache
        if work == "published":
            cache.forget(self._owner)
        if work == "cold":
            self._owner = next(self._owners)
        if work == "+1 turn":
            self._finish(self._begin(self._memory.chunks[:-1]))

    def _timed(self, work: str, figures: Figures) -> list[float]:
        device = self._subject.device
        beside = _reset_peak(device)
        started = time.perf_counter()
        scores = self._published() if work == "published" else self._ours(QUERIES[0])
        _wait_for(device)
        figures.seconds[work].append(time.perf_counter() - started)
        figures.peaks[work].append(_peak(device) - beside)
        if work == "+1 turn":
            self._ours(QUERIES[1])  # so that the repeated one is not the last one again
        return scores

    def _published(self) -> list[float]:
        subject = self._subject
        prompt = subject.prompt
        chunks = [prompt.chunk(i, one.text) for i, one in enumerate(self._memory.chunks, 1)]
        pieces = [piece for chunk in chunks for piece in chunk]
        tails = prompt.tail(QUERIES[0]), prompt.null_tail
        heads = subject.profile.heads
        scores = published_scores(subject.model, prompt.opening, pieces, prompt.stem, *tails, heads)
        found = iter(scores)
        return [max(next(found) for _ in chunk) for chunk in chunks]

    def _ours(self, query: str) -> list[float]:
        job = self._begin(self._memory.chunks, query)
        self._finish(job)
        return job.scores()[0]

    def _begin(self, chunks: Sequence[Chunk], *queries: str) -> Job:
        return self._reader.begin(self._owner, 0, [chunks], queries)

    def _finish(self, job: Job) -> None:
        while not job.is_done:
            self._reader.step([job])


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> int:
    """Bytes that are there already. Of a CPU's memory nothing is said: what is freed stays."""
    _wait_for(device)
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs a second of a product of matrices large enough to keep the device busy."""
    size = 8192 if device.type == "cuda" else 2048
    one = torch.randn(size, size, device=device, dtype=dtype)
    found: list[float] = []
    for _ in range(6):
        _wait_for(device)
        started = time.perf_counter()
        one @ one
        _wait_for(device)
        found.append(time.perf_counter() - started)
    return 2 * size**3 / min(found)


def agreement(one: Sequence[float], other: Sequence[float]) -> str:
    """The largest difference beside the largest score, and how many of the best ten agree."""
    difference = max(abs(a - b) for a, b in zip(one, other, strict=True))
    best = [sorted(range(len(s)), key=s.__getitem__)[-10:] for s in (one, other)]
    same = len(set(best[0]) & set(best[1]))
    return f"{difference:.1e} of {max(map(abs, one)):.1e}, {same} of the best {len(best[0])} alike"


def report(subject: Subject, memory: Memory, figures: Figures) -> Iterator[str]:
    yield f"{memory.tokens} tokens, {memory.turn} of them the new turn"
    yield "".join(f"{title:>12}" for title in ("", "median ms", "ratio", "peak MiB"))
    for work in WORKS:
        cells = (
            work,
            f"{figures.ms(work):,.1f}",
            f"{figures.ratio(work):.1f}x",
            figures.peak(work),
        )
        yield "".join(f"{cell:>12}" for cell in cells)
    for work in WORKS[1:]:
        yield f"  scores, {work}: {agreement(figures.scores['published'], figures.scores[work])}"
    yield from rates(subject, memory, figures)
    yield ""


def rates(subject: Subject, memory: Memory, figures: Figures) -> Iterator[str]:
    prompt, form, kept = subject.prompt, subject.form, figures.window_bytes
    rows = Suffix(len(prompt.stem), len(prompt.tail(QUERIES[0])), len(prompt.null_tail))
    cold, repeated = figures.ms("cold") / 1000, figures.ms("repeated") / 1000
    flops = form.cold(memory.tokens, rows) / cold
    read = subject.weight_bytes(form.deepest_layer) + kept
    yield f"  cold: {memory.tokens / cold:,.0f} tokens/s, {flops / 1e12:.3g} TFLOP/s, which is"
    yield f"    {flops / figures.peak_flops:.0%} of the peak, {figures.peak_flops / 1e12:.3g}"
    yield f"  repeated: {read / repeated / 1e9:,.1f} GB/s; {kept / 2**20:,.0f} MiB of memory kept"


def measure(subject: Subject, lengths: Sequence[int], repeats: int) -> Iterator[str]:
    yield (
        f"{subject.name} on {subject.device.type}, {subject.model.dtype}, torch"
        f" {torch.__version__}, {torch.get_num_threads()} threads; layers"
        f" {subject.form.deepest_layer} + 1 of {subject.form.layers_total}; {repeats} repeats\n"
    )
    for tokens in lengths:
        if tokens > subject.positions:
            yield f"(the model was made for {subject.positions} positions: only timed beyond)"
        told = memory(subject.prompt, tokens)
        figures = Rivals(subject, told).measure(repeats)
        yield from report(subject, told, figures)


def main() -> None:
    parser = argparse.ArgumentParser(description="The retriever beside the published method.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", choices=("embedded", "8b"), default="embedded")
    parser.add_argument("--tokens", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of a CPU; all unless given")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    on_cpu = (2048, 8192, 16384) if given.model == "embedded" else (512,)
    if given.tokens and min(given.tokens) < 2 * TURN_TOKENS:
        parser.error(f"a memory has at least {2 * TURN_TOKENS} tokens: a turn, and one before it")
    lengths = given.tokens or (on_cpu if given.device == "cpu" else (2048, 8192, 16384))
    try:
        chosen = subject(given.model, Settings(device=given.device, lora_id=""))
    except Unusable as unusable:
        sys.exit(str(unusable))
    for line in measure(chosen, lengths, given.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
