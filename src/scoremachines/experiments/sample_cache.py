"""Samples of many models, spread over processes and kept as files, so that nothing is done twice.

A `Model` holds in plain values what is to be sampled, a network or a machine; its samples are a
function of that, of the training set and of the network's weights, and the name of their file is a
hash of all three. An interrupted experiment therefore goes on where it stopped, and a changed one
computes what changed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.machines import make_machine, network_strength
from scoremachines.io.devices import threads
from scoremachines.io.files import reading
from scoremachines.io.orphans import end_with_parent
from scoremachines.io.sealed import Spec, kept, read_tensors, write_tensors
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.networks.training.folder import load_network
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.locality import parse_window
from scoremachines.theory.specs import AttentionSpec, MachineSpec
from scoremachines.theory.specs.gain import CALIBRATED

__all__ = ["Model", "build", "sample_all", "samples_of"]

PIECE = 50
"""Samples in one file: what is lost at most when a process is stopped."""
BATCH = 25


@dataclass(frozen=True)
class Model:
    """What is to be sampled, and how.

    Args:
        data: the training set.
        n: number of samples.
        network: folder of a network: the model itself or, with `machine`, the network whose theory
            the machine is.
        machine: the machine; None for the network itself.
        window: of the machine, as the command line writes it.
        sources: of the machine, where no network has it.
        steps: of sampling.
        scheduler: `"kg"`, or the name of a `diffusers` scheduler.
        seed: of the starting noise.
    """

    data: DataSettings
    n: int = 100
    network: str | None = None
    machine: MachineSpec | None = None
    window: str = "7"
    sources: str = "boundary"
    steps: int = 20
    scheduler: str = "kg"
    seed: int = 0

    def key(self) -> str:
        """Return a hash of all that decides a sample of the model: 16 hexadecimal digits."""
        machine = self.machine and str(self.machine)
        settings = asdict(self) | {"n": None, "network": None, "data": None, "machine": machine}
        weights = None if self.network is None else _weights_hash(self.network)
        decides = [settings, _opened(self.data).fingerprint(), weights]
        gain = None if self.machine is None else self.machine.attention.gain
        if self.network is not None and gain == CALIBRATED:
            decides.append(str(network_strength(self.network)))
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def pieces(self) -> list[range]:
        """Return the numbers of the samples, as they are divided into files."""
        return [range(start, min(start + PIECE, self.n)) for start in range(0, self.n, PIECE)]


@cache
def _opened(settings: DataSettings) -> TrainingSet:
    return open_data(settings)


@cache
def _weights_hash(folder: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*.safetensors")):
        if path.name.startswith("diffusion_pytorch_model"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def build(model: Model, device: str = "cpu") -> DenoiserModel:
    """Return the network or machine that a model means.

    Args:
        model: the model.
        device: where to.

    Returns:
        The denoiser, ready to be used.

    Raises:
        InputError: there is no such network or machine, or they do not go together.
    """
    data, window = _opened(model.data), parse_window(model.window)
    if model.network is None:
        attention = AttentionSpec() if model.machine is None else model.machine.attention
        return ScoreMachine(data, window, model.sources, attention).to(device)
    network = load_network(model.network).to(device)
    if model.machine is None:
        return network
    strength = network_strength(model.network)
    return make_machine(model.machine, network, data, window, strength=strength)


def sample_all(
    models: Sequence[Model], folder: str | Path, *, workers: int = 1, device: str = "cpu"
) -> None:
    """Sample models into a folder, those samples excepted that lie there.

    Args:
        models: the models.
        folder: made if it is missing.
        workers: number of processes; one more than this one only if it is above 1.
        device: of the computation; on a GPU one process does all.

    Raises:
        InputError: a model cannot be built, or the folder cannot be written.
    """
    folder = Path(folder)
    with reading("output", folder, "a folder to write to"):
        folder.mkdir(parents=True, exist_ok=True)
    all_pieces = {
        _path(folder, model, piece): (model, piece) for model in models for piece in model.pieces()
    }
    missing = {
        path: each
        for path, each in all_pieces.items()
        if kept(path, lambda path=path, each=each: _read(path, *each)) is None  # type: ignore[misc]
    }
    counts = Counter[Model]()
    for model, piece in missing.values():
        counts[model] += len(piece)
    _announce(counts, workers if device == "cpu" else 1, device)
    total = counts.total()
    with tqdm(total=total, desc="sampling", unit="sample", smoothing=0.05) as progress:
        if workers == 1 or device != "cpu":
            for path, (model, piece) in missing.items():
                _carry_out(model, piece, path, device)
                progress.update(len(piece))
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, end_with_parent) as pool:
            running = {
                pool.submit(_carry_out, model, piece, path, device): len(piece)
                for path, (model, piece) in missing.items()
            }
            try:
                for done in as_completed(running):
                    done.result()
                    progress.update(running[done])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _announce(counts: Mapping[Model, int], workers: int, device: str) -> None:
    """Print the estimated time of sampling, given the number of samples of each model."""
    with threads(1) if device == "cpu" else nullcontext():  # as in `_carry_out`
        seconds = sum(
            run_seconds([build(model, device)], count, model.steps)
            for model, count in counts.items()
        )
    cores = max(1, min(workers, os.cpu_count() or 1, len(counts)))
    announce(seconds / cores, f"{sum(counts.values())} samples of {len(counts)} models")


def samples_of(model: Model, folder: str | Path) -> Tensor:
    """Read a model's samples.

    Args:
        model: the model.
        folder: where `sample_all` put them.

    Returns:
        The samples, float32 `[n, C, H, W]`.

    Raises:
        InputError: they are missing or damaged.
    """
    pieces = model.pieces()
    return torch.cat([_read(_path(Path(folder), model, piece), model, piece) for piece in pieces])


def _read(path: Path, model: Model, piece: range) -> Tensor:
    """Return the samples that a file holds, after checking that they are those of the model."""
    expected = {"images": Spec((len(piece), *_opened(model.data).shape))}
    about = {"key": model.key(), "samples": f"{piece.start}-{piece.stop}"}
    accepted = "the samples of an experiment as they were left"
    found = read_tensors(path, expected, about, argument="folder", accepted=accepted)
    return found["images"]


def _path(folder: Path, model: Model, piece: range) -> Path:
    name = Path(model.network).name if model.network else "machine"
    if model.machine is not None:
        name += "-" + re.sub(r"[^\w-]", "_", str(model.machine))
    return folder / f"{name}.{model.key()}.{piece.start}-{piece.stop}.safetensors"


def _carry_out(model: Model, piece: range, path: Path, device: str) -> None:
    """Compute one file of samples."""
    if device == "cpu":
        torch.set_num_threads(1)
    denoiser = build(model, device)
    images = [_sampled(denoiser, model, batch) for batch in _batches(piece)]
    samples = f"{piece.start}-{piece.stop}"
    about = {"model": json.dumps(asdict(model)), "key": model.key(), "samples": samples}
    write_tensors(path, {"images": torch.cat(images)}, about)


def _batches(piece: range) -> Iterable[range]:
    for start in range(piece.start, piece.stop, BATCH):
        yield range(start, min(start + BATCH, piece.stop))


def _sampled(denoiser: DenoiserModel, model: Model, batch: range) -> Tensor:
    *_, last = trajectory(denoiser, batch, model.steps, model.seed, model.scheduler)
    return last.after.float().cpu()
