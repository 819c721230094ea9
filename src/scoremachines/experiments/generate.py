"""A run in a folder: sampled batch by batch, and continued where it was interrupted.

The folder's `parts/` hold each batch that is done, a recent step of the one that is not (KG's loop
only: a `diffusers` scheduler has a memory of its own, so its batches start again), and a record of
settings and training set. All files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.open import open_data
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines.auto import limit_threads
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.experiments.painted import Painted
from scoremachines.experiments.parts import Part, part_about, part_name, part_tensors, read_part
from scoremachines.experiments.run_settings import GenerateSettings, memory_bytes
from scoremachines.io.files import exists, reading
from scoremachines.io.sealed import Spec, kept, read_tensors, write_tensors
from scoremachines.machine.by_name import make_denoiser
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.machine.stream import Stream
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.runs.record import OpenRun, begin_run
from scoremachines.sampling.reverse_process import make_scheduler
from scoremachines.sampling.sample import sample_labels, trajectory
from scoremachines.sampling.saving import Samples, save_samples
from scoremachines.theory.locality import parse_window, windows_of
from scoremachines.theory.schedule import noise_schedule
from scoremachines.theory.specs import AttentionSpec, painter

__all__ = ["RECORD", "make_machine", "open_device", "paint"]

RECORD = "parts/run.json"
SAVE_EVERY = 2.0
"""Seconds between two saves of an unfinished batch."""
FREE = ("engine", "device", "memory", "batch")
"""Settings that do not change what a run paints, so may differ when it is continued; the engine
only if it is exact."""


def make_machine(settings: GenerateSettings, data: TrainingSet) -> DenoiserModel:
    """Make the machine of a run, on its device."""
    machine, device = painter(settings.machine), open_device(settings.device)
    if machine.is_denoiser:
        window = parse_window(settings.window)
        schedule = noise_schedule("cosine")
        return make_denoiser(str(machine), data, window, schedule).to(device)
    return ScoreMachine(
        data,
        None if machine.sees_whole_image else parse_window(settings.window),
        settings.sources or machine.sources,
        settings.attention_spec,
        smooth=settings.smooth,
        response=machine.response,
        engine=settings.engine_spec,
        memory=memory_bytes(settings.memory),
    ).to(device)


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
) -> Painted:
    """Carry out a run in its folder, or what is left of it.

    Samples are written as they are done; no more than a batch of them is in memory at once.

    Args:
        settings: of the run.
        folder: made if it is missing; must be empty unless the run is resumed.
        resume: go on with the run that the folder holds.
        title: what to call the run while it is in progress.

    Returns:
        What a page shows of it; pictures and provenance of all samples are in the folder.

    Raises:
        InputError: a setting, the training set or the folder cannot be used.
    """
    check_counts(n=settings.n, steps=settings.steps, batch=settings.batch)
    for name in ("seed", "best"):
        whole(name, getattr(settings, name))
    if settings.scheduler != "kg":
        make_scheduler(settings.scheduler)
    data = open_data(settings)
    machine = make_machine(settings, data)
    labels = sample_labels(data, settings.label, settings.n)
    if isinstance(machine, ScoreMachine):
        limit_threads(machine.engine)
        _refuse_early(machine, min(settings.n, settings.batch), settings.best)
    spec = settings.attention_spec
    if spec.path is not None:  # so that --config finds it from any folder
        spec = replace(spec, path=str(Path(spec.path).resolve()))
        settings = replace(settings, attention=str(spec))
    free = FREE if settings.engine_spec.exact else FREE[1:]
    decides = _matrix_hash(settings.attention_spec)
    with begin_run(
        folder, settings, data, record=RECORD, free=free, resume=resume, decides=decides
    ) as opened:
        run = Run(settings, machine, data, labels, opened)
        bound = run.finish(title)
        save_samples(run.finished, data, opened.folder, bound)
        return Painted.of(run.finished(), data, labels, bound)


def _refuse_early(machine: ScoreMachine, samples: int, best: int) -> None:
    """Refuse what cannot be computed, without computing it on all images."""
    data, noisy = machine.data, torch.zeros(samples, *machine.shape, device=machine.device)
    stream = Stream(data, machine.engine, machine.attention, None)
    for window in windows_of(machine.window) or (None,):
        level = torch.full((samples,), 0.5, dtype=torch.float64)
        stream.plan(replace(machine.query(noisy, level), window=window), best)
    few = ScoreMachine(
        data.subset(slice(0, 1)),
        machine.window,
        machine.sources,
        machine.attention,
        smooth=machine.smooth,
        response=machine.response,
        schedule=machine.schedule,
        engine=machine.engine,
    )
    few.denoise(noisy[:1], 0.5)


class Run:
    """A run in its folder, and how far it has come."""

    def __init__(
        self,
        settings: GenerateSettings,
        machine: DenoiserModel,
        data: TrainingSet,
        labels: Tensor | None,
        run: OpenRun,
    ) -> None:
        self.settings, self.machine, self.data, self.labels = settings, machine, data, labels
        self.run, self.parts = run, run.folder / "parts"
        self.images = [len(data), *data.shape]

    @property
    def batches(self) -> list[range]:
        """The numbers of the samples that are computed together."""
        n, batch = self.settings.n, self.settings.batch
        return [range(start, min(start + batch, n)) for start in range(0, n, batch)]

    def finish(self, title: str) -> float:
        """Compute the samples that are missing, and return the largest error of x̂0."""
        total, bound = self.settings.n * self.settings.steps, 0.0
        delay = 0 if self._announce() else 2
        with tqdm(total=total, desc=title, unit="step", delay=delay, smoothing=0.1) as progress:
            for batch in self.batches:
                bound = max(bound, self._batch(batch, progress)[-1])
        return bound

    def _announce(self) -> bool:
        """Print about how long the samples that are missing will take, if that is long."""
        settings, data = self.settings, self.data
        missing = [
            each for each in self.batches if not exists("output", self.parts / part_name(each))
        ]
        samples = sum(map(len, missing))
        count = len(data) if settings.label is None else len(data.of_class(settings.label))
        seconds = run_seconds([self.machine], samples, settings.steps, count=count)
        what = f"{samples} samples × {settings.steps} steps, {count} training images of "
        what += " × ".join(map(str, data.shape[1:])) + f" pixels, attention {settings.attention}"
        return announce(seconds, what)

    def finished(self) -> Iterator[Samples]:
        """Yield samples and posterior of one batch after the other, all of them finished."""
        with tqdm(total=0, disable=True) as progress:
            for batch in self.batches:
                images, posterior, _ = self._batch(batch, progress)
                yield images, posterior

    def _batch(self, batch: range, progress: Any) -> Part:
        """Return samples, posterior and worst bound of a batch, read or computed."""
        path = self.parts / part_name(batch)

        def read() -> Part:
            return read_part(path, batch, self.images, self.run.key)

        part = kept(path, read)
        if part is not None:
            progress.update(len(batch) * self.settings.steps)
            return part
        unfinished = path.with_suffix(".step.safetensors")
        resume, bound = self._read_step(unfinished, batch)
        step, saved = None, monotonic()
        progress.update(len(batch) * resume[0] if resume else 0)
        settings, about = self.settings, part_about(self.run.key, batch)
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
                write_tensors(
                    unfinished,
                    {"after": step.after, "done": done, "bound": torch.tensor(bound)},
                    about,
                )
                saved = monotonic()
        assert step is not None
        write_tensors(path, part_tensors(step) | {"bound": torch.tensor(bound)}, about)
        unfinished.unlink(missing_ok=True)
        return read()

    def _read_step(self, path: Path, batch: range) -> tuple[tuple[int, Tensor] | None, float]:
        """Return after which step an interrupted batch goes on, φ there, and the worst bound."""
        if self.settings.scheduler != "kg":
            return None, 0.0
        expected = {
            "after": Spec((len(batch), *self.images[1:])),
            "done": Spec((), torch.int64, 1, self.settings.steps - 1),
            "bound": Spec((), low=0, high=math.inf),
        }
        about = part_about(self.run.key, batch)
        step = kept(path, lambda: read_tensors(path, expected, about))
        if step is None:
            return None, 0.0
        return (int(step["done"]), step["after"]), float(step["bound"])


def _matrix_hash(spec: AttentionSpec) -> dict[str, str]:
    """Return the hash of an attention's matrix, which decides a result in place of its path."""
    if spec.path is None:
        return {}
    with reading("attention", spec.path, "an .npy file with a matrix [H·W, H·W]"):
        digest = hashlib.sha256(Path(spec.path).read_bytes()).hexdigest()
    return {"attention": f"sha256 {digest} as {replace(spec, path=None)}"}
