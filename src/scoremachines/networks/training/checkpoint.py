"""A training's complete state in one file (theory §5).

Weights, their average, the optimiser's two moments, the step and the loss curve; randomness has no
state (see `loop`), so a training that goes on from here ends as if it had never stopped.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from scoremachines.io.sealed import Spec, read_tensors, write_tensors
from scoremachines.networks.training.loop import Training

__all__ = ["restore", "save"]

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(training: Training, path: Path, run: str) -> None:
    """Write a training to a file, all or nothing.

    Args:
        training: the training, after at least one step.
        path: the file, whose name ends in `.safetensors`.
        run: key of the run that it belongs to.

    Raises:
        InputError: its weights are no longer finite, or the file cannot be written.
    """
    training.check_finite()
    tensors: dict[str, Tensor] = {
        "step": torch.tensor(training.step),
        "loss": torch.tensor(training.loss, dtype=torch.float64),
        "history": torch.tensor(training.history, dtype=torch.float64).reshape(-1, 3),
    }
    named = training.network.named_parameters()
    for (name, parameter), average in zip(named, training.ema.shadow_params, strict=True):
        tensors[f"weight.{name}"], tensors[f"average.{name}"] = parameter.detach(), average
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = training.optimiser.state[parameter][moment]
    write_tensors(path, tensors, {"run": run})


def restore(training: Training, path: Path, run: str) -> bool:
    """Bring a training of the same settings to where a file has it.

    Args:
        training: a training that has not begun; unchanged if the file is refused.
        path: the file.
        run: key of the run that it must belong to.

    Returns:
        True.

    Raises:
        InputError: the file is damaged, or of another training.
    """
    tensors = read_tensors(path, _expected(training), {"run": run})
    with torch.no_grad():
        state = {}
        named = training.network.named_parameters()
        for number, ((name, parameter), average) in enumerate(
            zip(named, training.ema.shadow_params, strict=True)
        ):
            parameter.copy_(tensors[f"weight.{name}"])
            average.copy_(tensors[f"average.{name}"])
            # Moments lie in memory as the weights do, so that not even the rounding differs.
            state[number] = {
                moment: torch.empty_like(parameter).copy_(tensors[f"{moment}.{name}"])
                for moment in MOMENTS
            } | {"step": tensors["step"].float()}
        groups = training.optimiser.state_dict()["param_groups"]
        training.optimiser.load_state_dict({"state": state, "param_groups": groups})
        training.step = training.ema.optimization_step = int(tensors["step"])
        training.loss = float(tensors["loss"])
        training.history = [
            (int(step), loss, rate) for step, loss, rate in tensors["history"].tolist()
        ]
    return True


def _expected(training: Training) -> dict[str, Spec]:
    """Return what the tensors of a checkpoint must be."""
    expected = {
        "step": Spec((), torch.int64, 1, training.settings.steps),
        "loss": Spec((), torch.float64),
        "history": Spec((None, 3), torch.float64),
    }
    for name, parameter in training.network.named_parameters():
        for kind in ("weight", "average", *MOMENTS):
            low = 0 if kind == "exp_avg_sq" else None
            expected[f"{kind}.{name}"] = Spec(tuple(parameter.shape), parameter.dtype, low)
    return expected
