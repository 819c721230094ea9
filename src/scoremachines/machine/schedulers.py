"""Schedulers of `diffusers`: ᾱ of their timesteps, and what they do to x̂0 (theory §1).

A scheduler fits a model if both count timesteps alike and mean the same by a prediction. Nothing
in `diffusers` passes a model the scheduler it is used with, so `calling_scheduler` looks among
the callers.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from scoremachines.errors import InputError
from scoremachines.io.files import is_file, reading
from scoremachines.theory.schedule import PREDICTIONS, TableSchedule

__all__ = [
    "SchedulerWarning",
    "calling_scheduler",
    "check_scheduler",
    "fits",
    "in_pipeline",
    "make_scheduler",
    "prediction_of",
    "read_scheduler",
    "scheduler_beside",
    "scheduler_names",
    "settings_of",
    "table_of",
    "warn_unfit",
]

INVERTING = ("DDIMInverseScheduler", "DPMSolverMultistepInverseScheduler")
NEEDS_MORE = ("CogVideoXDPMScheduler", "UnCLIPScheduler")
"""Schedulers that run from image to noise, and those whose `step` wants more than a prediction:
earlier answers, or the timestep that comes next."""
SCHEDULER, PIPELINE = "scheduler_config.json", "model_index.json"
DEPTH = 12
"""How many callers of a model are looked at."""


class SchedulerWarning(UserWarning):
    """A model is used with a scheduler that does not fit it."""


def scheduler_names() -> list[str]:
    """Return the names that `make_scheduler` takes, KG's loop left out."""
    return list(schedulers())


@cache
def schedulers() -> dict[str, Any]:
    """Return the classes that `make_scheduler` takes, by name without the ending `Scheduler`."""
    import diffusers

    found = {}
    for name in dir(diffusers):
        short = re.fullmatch(r"(\w+)Scheduler", name)
        if short is not None and name not in (*INVERTING, *NEEDS_MORE):
            kind = getattr(diffusers, name)
            if _parameter(kind, "prediction_type") == "epsilon":
                found[short[1]] = kind
    return found


def _parameter(function: Callable[..., object], name: str) -> object:
    """Return the default of a parameter; None where there is none."""
    try:
        found = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):  # a placeholder for a class whose library is missing
        return None
    return None if found is None else found.default


def make_scheduler(name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Return a `diffusers` scheduler.

    Args:
        name: class name, with or without its ending `Scheduler`.
        settings: those of another scheduler, to be taken over; by default its own.

    Returns:
        The scheduler.

    Raises:
        InputError: no such scheduler, or it takes no prediction of ε.
    """
    known = schedulers()
    kind = known.get(re.sub(r"Scheduler$", "", name)) if isinstance(name, str) else None
    if kind is None:
        raise InputError("scheduler", name, f"kg, {', '.join(known)}")
    if settings is None:
        return kind()
    with reading("scheduler", name, "a scheduler whose settings fit its class"):
        return kind.from_config(dict(settings))


def read_scheduler(folder: Path, argument: str = "scheduler") -> Any:
    """Read a scheduler from a folder.

    Args:
        folder: as `save_pretrained` of `diffusers` wrote it.
        argument: name of the argument that led to the folder, for the error.

    Returns:
        The scheduler.

    Raises:
        InputError: there is none, it is damaged, or none of those that a prediction of ε suits.
    """
    with reading(argument, folder, f"a folder with {SCHEDULER}"):
        settings = json.loads((folder / SCHEDULER).read_text(encoding="utf-8"))
        return make_scheduler(str(settings["_class_name"]), settings)


def scheduler_beside(folder: Path) -> Any:
    """Return the scheduler of the pipeline that a model's folder belongs to, if there is one.

    Args:
        folder: of the model, such as `unet` in that of a pipeline.

    Returns:
        The scheduler; None if there is none, or none that can be read.
    """
    place = folder.resolve().parent
    try:
        if is_file("path", place / PIPELINE) and is_file("path", place / "scheduler" / SCHEDULER):
            return read_scheduler(place / "scheduler")
    except InputError:
        pass  # diffusers reports it when the pipeline is opened
    return None


def prediction_of(scheduler: object) -> str | None:
    """Return the prediction type of a scheduler; None if it has none."""
    kind = settings_of(scheduler).get("prediction_type")
    return kind if isinstance(kind, str) else None


def settings_of(scheduler: object) -> Mapping[str, Any]:
    """Return the settings of a scheduler; none of what is no scheduler."""
    config = getattr(scheduler, "config", None)
    return config if isinstance(config, Mapping) else {}


def table_of(scheduler: Any) -> Any:
    """Return ᾱ at a scheduler's timesteps; what is no scheduler is returned as it is.

    The table is `ᾱ_n = Π_{j≤n} (1−β_j)` (theory §1.2).

    Args:
        scheduler: of `diffusers`, anything with `alphas_cumprod`, or a table.

    Returns:
        The table.

    Raises:
        InputError: a scheduler that has none, or takes answers of a form that no model has.
    """
    name, kind = type(scheduler).__name__, prediction_of(scheduler)
    if kind is not None and kind not in PREDICTIONS:
        given = f"{name} with prediction_type={kind!r}"
        raise InputError("scheduler", given, f"prediction_type {', '.join(PREDICTIONS)}")
    if settings_of(scheduler) and not hasattr(scheduler, "alphas_cumprod"):
        accepted = "a scheduler with alphas_cumprod, such as DDIMScheduler"
        raise InputError("scheduler", name, accepted)
    return getattr(scheduler, "alphas_cumprod", scheduler)


def check_scheduler(scheduler: Any, *, variance: bool = False) -> None:
    """Refuse a scheduler with settings under which no model can be sampled.

    At ᾱ = 0 `x̂0 = (φ − √(1−ᾱ) ε̂)/√ᾱ` is not defined (theory §1.1).

    Args:
        scheduler: of `diffusers`; anything without `config` passes.
        variance: whether the model may predict the variance too.

    Raises:
        InputError: its last ᾱ is 0 while it takes predictions of ε, or it wants a variance
            predicted too.
    """
    config, kind = settings_of(scheduler), prediction_of(scheduler)
    name = type(scheduler).__name__
    if str(config.get("variance_type")).startswith("learned") and not variance:
        given = f"{name} with variance_type={config['variance_type']!r}"
        reason = "the model predicts no variance"
        raise InputError(
            "scheduler", given, "variance_type 'fixed_small' or 'fixed_large'", reason
        )
    table: Any = getattr(scheduler, "alphas_cumprod", None)
    listed = isinstance(table, Tensor) and table.ndim == 1 and len(table) > 0
    if kind == "epsilon" and listed and table[-1] == 0:
        given = f"{name} with rescale_betas_zero_snr=True and prediction_type='epsilon'"
        reason = "ᾱ is 0 at its last timestep, and x̂0 does not follow from ε there"
        accepted = "prediction_type 'v_prediction' or 'sample', or rescale_betas_zero_snr=False"
        raise InputError("scheduler", given, accepted, reason)


def in_pipeline(scheduler: Any) -> bool:
    """Return whether `DDPMPipeline` runs a scheduler as it is meant to be.

    The pipeline scales neither the starting noise nor the model's input, and passes a generator.
    """
    needed = ("step", "set_timesteps", "alphas_cumprod", "init_noise_sigma", "scale_model_input")
    if not all(hasattr(scheduler, name) for name in needed) or scheduler.init_noise_sigma != 1:
        return False
    return "generator" in inspect.signature(scheduler.step).parameters


def fits(scheduler: Any, timesteps: TableSchedule, kind: str) -> str:
    """Return in what a scheduler does not fit a model; empty if it fits.

    Args:
        scheduler: of `diffusers`.
        timesteps: ᾱ at the timesteps as the model counts them.
        kind: what the model answers with.

    Returns:
        A phrase.
    """
    table: Any = getattr(scheduler, "alphas_cumprod", None)
    if isinstance(table, Tensor) and not timesteps.equals(table):
        return "its timesteps stand for other noise levels ᾱ"
    wanted = prediction_of(scheduler)
    if wanted in PREDICTIONS and wanted != kind:
        return f"it takes answers for {wanted}, and the model answers with {kind}"
    return ""


def warn_unfit(scheduler: Any, timesteps: TableSchedule, kind: str) -> None:
    """Warn if a scheduler does not fit a model; arguments as in `fits`, or None for none."""
    problem = "" if scheduler is None else fits(scheduler, timesteps, kind)
    if problem:
        text = f"{type(scheduler).__name__} does not fit the model: {problem}."
        advice = "Make the pipeline with model.pipeline(scheduler), or call model.match first."
        warnings.warn(f"{text} {advice}", SchedulerWarning, stacklevel=4)


def calling_scheduler(model: object) -> Any:
    """Return the scheduler of the `diffusers` pipeline that has called a model.

    Args:
        model: the model, called a few functions further up.

    Returns:
        The scheduler; None if no pipeline that holds the model is among the callers.
    """
    pipelines = sys.modules.get("diffusers.pipelines.pipeline_utils")
    if pipelines is None:
        return None
    frame: Any = sys._getframe()
    for _ in range(DEPTH):
        frame = frame.f_back
        if frame is None:
            return None
        caller = frame.f_locals.get("self")
        if isinstance(caller, pipelines.DiffusionPipeline):
            held = any(each is model for each in vars(caller).values())
            return getattr(caller, "scheduler", None) if held else None
    return None
