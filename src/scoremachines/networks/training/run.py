"""A training from beginning to end: in memory, or in a folder where it can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter, sleep, time

import torch
from tqdm import tqdm

from scoremachines.data.formats.safetensors import save_training_set
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import folder_path, reading
from scoremachines.io.sealed import kept
from scoremachines.networks.network import Network
from scoremachines.networks.training.checkpoint import restore, save
from scoremachines.networks.training.folder import (
    CHECKPOINT,
    IMAGES,
    RECORD,
    load_network,
    save_curve,
    save_network,
)
from scoremachines.networks.training.loop import Progress, Training
from scoremachines.networks.training.settings import FREE, TrainSettings
from scoremachines.runs.estimate import announce
from scoremachines.runs.record import OpenRun, begin_run

__all__ = ["new_network", "train", "train_in_folder"]

TENSORBOARD = "tensorboard"
TIMED, PATIENCE = 10, 2.0
"""Steps after the first that show how long all take, or those of so many seconds, if fewer."""
OnStep = Callable[[Progress], object]


def new_network(data: TrainingSet, settings: TrainSettings) -> Network:
    """Return the network that a training begins with.

    Args:
        data: its training set.
        settings: of the training; its seed decides the weights.

    Returns:
        The network, which knows nothing yet.

    Raises:
        InputError: the set has no classes, or the schedule is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return Network.for_data(data, settings.network, schedule=settings.schedule)


def check_fit(network: Network, data: TrainingSet) -> None:
    """Refuse a network and a training set that cannot go together, before any work.

    Args:
        network: the network.
        data: the training set.

    Raises:
        InputError: they do not fit.
    """
    if network.shape != data.shape:
        reason = f"the network is made for {network.shape}"
        raise InputError("data", data, "images of the network's shape", reason)
    side, field = min(data.shape[1:]), network.receptive_field
    if network.config["trunk"] == "cnn" and field > side:
        reason = f"the images have sides of {side} pixels only"
        raise InputError("receptive_field", field, f"an odd number up to {side}", reason)
    classes = network.config["classes"]
    present = set() if data.labels is None else set(data.labels.tolist())
    wanted = set(range(max(classes, len(data.classes))))
    if classes and present != wanted:
        strange, missing = present - wanted, wanted - present
        reason = f"the network does not know class {min(strange)}" if strange else ""
        reason = reason or f"no image is of class {min(missing)}"
        accepted = f"a training set with images of each of {len(wanted)} classes"
        raise InputError("conditional", True, accepted, reason)


def train(
    network: Network, data: TrainingSet, settings: TrainSettings, on_step: OnStep | None = None
) -> Network:
    """Train a network in memory.

    Args:
        network: the network, whose weights change.
        data: its training set.
        settings: of the training; `network`, `schedule` and the source are not looked at.
        on_step: called with the progress after every step.

    Returns:
        A copy of the network with averaged weights, in evaluation mode.

    Raises:
        InputError: network and images do not go together, or the training diverged.
    """
    check_fit(network, data)
    training = Training(network, data, settings)
    for progress in _shown(training):
        if on_step is not None:
            on_step(progress)
    return training.average()


def train_in_folder(
    data: TrainingSet,
    settings: TrainSettings,
    folder: str | Path,
    resume: bool = True,
    on_step: OnStep | None = None,
) -> Network:
    """Train a network in a folder, or carry out what is left to do there.

    Args:
        data: the training set; kept in the folder if the settings name no source.
        settings: of the training.
        folder: made if it is missing; must be empty unless the training is resumed.
        resume: go on with the training that the folder holds.
        on_step: called with the progress after every step that is carried out.

    Returns:
        The network with averaged weights, in evaluation mode, as it lies in the folder.

    Raises:
        InputError: settings, images or folder cannot be used, or the training diverged; the folder
            then keeps the last checkpoint before it did.
    """
    network = new_network(data, settings)
    check_fit(network, data)
    training = Training(network, data, settings, folder_path("folder", folder))
    with begin_run(folder, settings, data, record=RECORD, free=FREE, resume=resume) as run:
        folder, checkpoint = run.folder, run.folder / CHECKPOINT
        if settings.source is None:
            save_training_set(data, folder / IMAGES)
        kept(checkpoint, lambda: restore(training, checkpoint, run.key))
        try:
            _carry_out(training, run, on_step)
        finally:
            save_curve(training.history, folder, draw=True)
            training.accelerator.end_training()
        save_network(training.average(), folder)
        return load_network(folder)


def _carry_out(training: Training, run: OpenRun, on_step: OnStep | None) -> None:
    """Carry out the steps that are left, log them, and save every few."""
    settings, accelerator, folder = training.settings, training.accelerator, run.folder
    # TensorBoard forgets what an interrupted run logged after its last checkpoint.
    _wait_for_a_later_name(folder / TENSORBOARD)
    purge = {"tensorboard": {"purge_step": training.step + 1}}
    with reading("output", folder, "a folder that TensorBoard can write to"):
        accelerator.init_trackers(TENSORBOARD, init_kwargs=purge)
    for progress in _shown(training):
        last = progress.step == settings.steps
        if progress.step % settings.log_every == 0 or last:
            values = {"loss": progress.loss, "learning_rate": progress.learning_rate}
            if progress.temperature is not None:
                values["temperature"] = progress.temperature
            accelerator.log(values, step=progress.step)
        if on_step is not None:  # before the checkpoint: a killed run then calls it again
            on_step(progress)
        if progress.step % settings.save_every == 0 or last:
            save(training, folder / CHECKPOINT, run.key)
            save_network(progress.average(), folder)
            save_curve(training.history, folder, draw=False)


def _wait_for_a_later_name(folder: Path) -> None:
    """Wait, a second at most, until a new file's name sorts behind those that TensorBoard has.

    It reads them in order, and their names hold the second in which they were begun.
    """
    latest = max((path.name for path in folder.glob("events.out.tfevents.*")), default="")
    while latest > f"events.out.tfevents.{int(time()):010d}":
        sleep(0.02)


def _shown(training: Training) -> Iterator[Progress]:
    """Carry out the steps that are left, with a bar that shows loss and time left."""
    total, start = training.settings.steps, training.step
    began, announced = perf_counter(), False
    bar = tqdm(total=total, initial=start, desc="training", unit="step", delay=2, mininterval=1)
    with bar, closing(training.steps()) as steps:
        for progress in steps:
            done, left = progress.step - start, total - progress.step
            passed = perf_counter() - began
            if done == 1:  # in which libraries set up what they need
                began = perf_counter()
            elif not announced and (done > TIMED or passed > PATIENCE):
                announce(passed / (done - 1) * left, f"{left} steps of training")
                announced = True
            bar.set_postfix(loss=f"{progress.loss:.4f}", refresh=False)
            bar.update()
            yield progress
