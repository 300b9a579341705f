"""How far a course has come, in one file: whole or not there, and read without unpickling.

Lessons and chance depend on their number and the seed alone, so this is all that resuming takes.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from retriever.errors import Unusable
from retriever.learning.exam import Result

FILE = "progress.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """`losses` of each step; `exams` (step, result), the first before anything was learnt; `best`
    is the step whose parameters are kept."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    exams: list[tuple[int, Result]] = field(default_factory=list)
    best: int = 0

    @property
    def before(self) -> Result:
        return self.exams[0][1]

    @property
    def best_result(self) -> Result:
        return next(result for step, result in self.exams if step == self.best)

    @property
    def exams_since_best(self) -> int:
        return sum(step > self.best for step, _ in self.exams)


def save_progress(
    folder: Path,
    plan: Mapping[str, Any],
    progress: Progress,
    parameters: Mapping[str, nn.Parameter],
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    tensors = {f"now/{name}": one.detach() for name, one in parameters.items()}
    tensors |= {f"best/{name}": one for name, one in best.items()}
    for name, parameter in parameters.items():
        for moment in _MOMENTS:
            if moment in optimizer.state[parameter]:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    told = {"plan": plan, "progress": dataclasses.asdict(progress)}
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{FILE}.part"
    copies = {name: one.detach().cpu().clone() for name, one in tensors.items()}
    save_file(copies, draft, metadata={"told": json.dumps(told)})
    draft.replace(folder / FILE)


def load_progress(
    folder: Path,
    plan: Mapping[str, Any],
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> tuple[Progress, dict[str, Tensor]]:
    """Fills parameters and optimizer; progress and the best parameters come back.

    Raises Unusable: damaged, or of a course with another plan.
    """
    try:
        with safe_open(folder / FILE, framework="pt", device="cpu") as file:
            told = json.loads(file.metadata()["told"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as exc:
        raise Unusable(f"{folder / FILE} is damaged: {exc}") from exc
    if other := [key for key in plan if told["plan"].get(key) != plan[key]]:
        raise Unusable(
            f"{folder} holds a course with another {other[0]} ({told['plan'].get(other[0])!r}): "
            "give the same options, or another --out"
        )
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"now/{name}"])
        state = {one: tensors[f"{one}/{name}"] for one in _MOMENTS if f"{one}/{name}" in tensors}
        for moment, value in state.items():
            on = value if moment == "step" else value.to(parameter.device)
            optimizer.state[parameter][moment] = on
    return _progress(told["progress"]), {name: tensors[f"best/{name}"] for name in parameters}


def _progress(told: Mapping[str, Any]) -> Progress:
    exams = [(step, Result(result["recalls"])) for step, result in told["exams"]]
    return Progress(told["step"], told["losses"], exams, told["best"])
