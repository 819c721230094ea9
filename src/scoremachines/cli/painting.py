"""A run in a folder: sampled batch by batch, and continued where it was interrupted.

The folder's `parts/` hold each batch that is done, a recent step of the one that is not (KG's loop
only: a `diffusers` scheduler has a memory of its own, so its batches start again), and a record of
settings and training set. All files are written whole or not at all.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from scoremachines.attention import Attention, Soft, attention_names, make_attention
from scoremachines.cli.settings import GenerateSettings, memory_bytes
from scoremachines.data.source import open_data
from scoremachines.data.training_set import TrainingSet
from scoremachines.engine import AdaptiveEngine, Engine
from scoremachines.engine.choice import limit_threads
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.files import exists, reading, write_tensors
from scoremachines.locality import parse_window
from scoremachines.machine import ScoreMachine
from scoremachines.named import MACHINES
from scoremachines.posterior import Posterior, Sources
from scoremachines.record import begin_run
from scoremachines.result import Result
from scoremachines.sampling import sample_labels, trajectory
from scoremachines.trajectory import Step, make_scheduler

__all__ = ["RECORD", "make_machine", "open_device", "paint", "read_part"]

RECORD = "parts/run.json"
SAVE_EVERY = 2.0
"""Seconds between two saves of an unfinished batch."""
FREE = ("engine", "tolerance", "device", "memory", "batch")
"""Settings that do not change what a run paints, so may differ when it is continued. With the
adaptive engine, engine and tolerance do: see `_free`."""


def make_machine(settings: GenerateSettings, data: TrainingSet) -> ScoreMachine:
    """Make the machine of a run, on its device."""
    if settings.machine not in MACHINES:
        raise InputError("machine", settings.machine, ", ".join(MACHINES))
    whole = settings.machine in ("ideal", "equivariant")
    return ScoreMachine(
        data,
        None if whole else parse_window(settings.window),
        settings.sources or MACHINES[settings.machine],
        _attention(settings.attention),
        engine=_engine(settings),
        memory=memory_bytes(settings.memory),
    ).to(open_device(settings.device))


def _engine(settings: GenerateSettings) -> str | Engine:
    if settings.engine != "adaptive":
        return settings.engine
    return AdaptiveEngine(memory_bytes(settings.memory), settings.tolerance)


def _free(settings: GenerateSettings) -> tuple[str, ...]:
    if settings.engine != "adaptive":
        return FREE
    return tuple(name for name in FREE if name not in ("engine", "tolerance"))


def _attention(name: str) -> Attention:
    if not name.endswith(".npy"):
        if name not in attention_names():
            accepted = f"{', '.join(attention_names())}, or an .npy file with a matrix"
            raise InputError("attention", name, accepted)
        return make_attention(name)
    import numpy as np

    with reading("attention", name, "an .npy file with a matrix [H·W, H·W]"):
        matrix = torch.from_numpy(np.load(name, allow_pickle=False)).double()
    return Soft(matrix)


def open_device(name: str) -> torch.device:
    """Return a device by name; `auto` is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("device", name, "auto, cpu, or a GPU of this machine", reason) from None
    return device


def paint(
    settings: GenerateSettings,
    folder: str | Path,
    *,
    resume: bool = False,
    title: str = "painting",
) -> Result:
    """Carry out a run in its folder, or what is left of it.

    Args:
        settings: of the run.
        folder: made if it is missing; must be empty unless the run is resumed.
        resume: go on with the run that the folder holds.
        title: what to call the run while it is in progress.

    Returns:
        The samples; their pictures and provenance are in the folder.

    Raises:
        InputError: a setting, the training set or the folder cannot be used.
    """
    check_counts(n=settings.n, steps=settings.steps, batch=settings.batch)
    for name in ("seed", "best"):
        whole(name, getattr(settings, name))
    if settings.scheduler != "kg":
        make_scheduler(settings.scheduler)
    limit_threads(settings.engine)
    data = open_data(settings)
    machine = make_machine(settings, data)
    labels = sample_labels(data, settings.label, settings.n)
    machine.denoise(torch.zeros(1, *data.shape, device=machine.device), 0.5)  # refuses early
    run = Run(settings, machine, labels, Path(folder), resume)
    result = run.result(title)
    result.save(run.folder)
    return result


class Run:
    """The folder of a run, and how far it has come."""

    def __init__(
        self,
        settings: GenerateSettings,
        machine: ScoreMachine,
        labels: Tensor | None,
        folder: Path,
        resume: bool,
    ) -> None:
        self.settings, self.machine, self.labels = settings, machine, labels
        self.folder = begin_run(
            folder, settings, machine.data, record=RECORD, free=_free(settings), resume=resume
        )
        self.parts = self.folder / "parts"

    def result(self, title: str) -> Result:
        """Return all samples, computing those that are missing."""
        settings = self.settings
        images, posteriors, bound = [], [], 0.0
        total = settings.n * settings.steps
        with tqdm(total=total, desc=title, unit="step", delay=2, smoothing=0.1) as progress:
            for start in range(0, settings.n, settings.batch):
                batch = range(start, min(start + settings.batch, settings.n))
                after, posterior, largest = self._batch(batch, progress)
                bound = max(bound, largest)
                images.append(after)
                posteriors.append(posterior)
        known = [posterior for posterior in posteriors if posterior is not None]
        merged = Posterior.cat(known) if known else None
        return Result(torch.cat(images), self.machine.data, merged, self.labels, bound)

    def _batch(self, batch: range, progress: Any) -> tuple[Tensor, Posterior | None, float]:
        """Return samples, posterior and worst bound of a batch, read or computed."""
        path = self.parts / f"{batch.start:06d}-{batch.stop:06d}.safetensors"
        if exists("output", path):
            progress.update(len(batch) * self.settings.steps)
            return read_part(path)
        unfinished = path.with_suffix(".step.safetensors")
        resume, bound = _read_step(unfinished, self.settings.scheduler)
        step, saved = None, monotonic()
        progress.update(len(batch) * resume[0] if resume else 0)
        settings = self.settings
        for step in trajectory(
            self.machine,
            batch,
            settings.steps,
            settings.seed,
            settings.scheduler,
            self.labels,
            settings.best,
            resume,
        ):
            bound = max(bound, step.bound)
            progress.update(len(batch) * settings.steps / step.total)
            if monotonic() - saved > SAVE_EVERY and step.number < step.total:
                done = torch.tensor(step.number)
                kept = {"after": step.after.cpu(), "done": done, "bound": torch.tensor(bound)}
                write_tensors(unfinished, kept)
                saved = monotonic()
        assert step is not None
        write_tensors(path, _part(step) | {"bound": torch.tensor(bound)})
        unfinished.unlink(missing_ok=True)
        return read_part(path)


def _part(step: Step) -> dict[str, Tensor]:
    """Return the last step of a batch as tensors by name."""
    tensors = {"images": step.after.float().clone()}
    posterior = step.posterior
    if posterior is not None and posterior.sources is not None and posterior.entropy is not None:
        tensors |= {
            "log_weight": posterior.log_weight,
            "mean": posterior.mean,
            "entropy": posterior.entropy,
            "source_log_weight": posterior.sources.log_weight,
            "source_image": posterior.sources.image,
            "source_position": posterior.sources.position,
        }
        if posterior.log_rest is not None:
            tensors["log_rest"] = posterior.log_rest
    return tensors


def read_part(path: Path) -> tuple[Tensor, Posterior | None, float]:
    """Read a finished batch.

    Args:
        path: its file.

    Returns:
        Samples, float32 `[n, C, H, W]`, their posterior, if the run named sources, and the largest
        error that an adaptive engine may have made in any of its steps.

    Raises:
        InputError: the file is damaged.
    """
    with reading("output", path, "a run's folder as it was left"):
        part = load_file(path)
        bound = float(part.get("bound", 0.0))
        if "mean" not in part:
            return part["images"], None, bound
        names = ("source_log_weight", "source_image", "source_position")
        sources = Sources(*(part[name] for name in names))
        mean, entropy, rest = part["mean"], part["entropy"], part.get("log_rest")
        known = Posterior(part["log_weight"], mean, entropy, sources, rest)
        return part["images"], known, bound


def _read_step(path: Path, scheduler: str) -> tuple[tuple[int, Tensor] | None, float]:
    if scheduler != "kg" or not exists("output", path):
        return None, 0.0
    with reading("output", path, "a run's folder as it was left"):
        step = load_file(path)
    return (int(step["done"]), step["after"]), float(step.get("bound", 0.0))
