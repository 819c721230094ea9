"""The paper's experiment, whole: networks, machines, consistency, agreement, one page (theory §6).

Does attention make networks agree with themselves, and does the theory predict it?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
import yaml
from torch import Tensor

from scoremachines._version import __version__
from scoremachines.data.open import open_data
from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.consistency_page import write_consistency_page
from scoremachines.experiments.digits import DIGITS, RIVALS, digits_agreement
from scoremachines.experiments.networks import CNN, read_curve
from scoremachines.experiments.plan import (
    ATTENTIVE,
    BASELINES,
    Entry,
    Trained,
    entries,
    rivals,
    sweeps,
)
from scoremachines.experiments.results import (
    Agreement,
    Findings,
    Order,
    Point,
    Rates,
    agreement,
    order,
    rates,
)
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.experiments.sample_cache import sample_all, samples_of
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.experiments.trainings import network_folder, networks, trained_anew
from scoremachines.networks.training.folder import load_network
from scoremachines.runs.record import begin_run

__all__ = ["run"]

SHOWN = 12
"""Samples of each model in the page's picture."""
FREE = ("workers", "device")


def _real(settings: ConsistencySettings, folder: Path, device: str) -> list[Agreement]:
    """Return the agreement on digits."""
    if not settings.real:
        return []
    where = folder / "networks"
    trained = {
        role: network_folder(role, 0, DIGITS, settings, where, prefix="digits-") for role in RIVALS
    }
    scale, kept = settings.scale, folder / "samples"
    n = min(scale.n, 2 * scale.sweep_n)
    return digits_agreement(trained, kept, n, scale.steps, settings.workers, device)


def run(
    settings: ConsistencySettings, output: str | Path, *, resume: bool = False, command: str = ""
) -> Path:
    """Carry out the experiment in a folder, or what is left of it.

    Args:
        settings: of the experiment.
        output: the folder.
        resume: go on with the experiment that the folder holds.
        command: the line that runs it again.

    Returns:
        The page.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    data = open_data(settings.data)
    with begin_run(
        output, settings, data, record="experiment.json", free=FREE, resume=resume
    ) as begun:
        return _carry_out(settings, data, begun.folder, command)


def _carry_out(
    settings: ConsistencySettings, data: TrainingSet, folder: Path, command: str
) -> Path:
    """Carry out what is left of the experiment, and write its page."""
    trained = networks(settings, folder / "networks")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    device = device if settings.device == "auto" else settings.device
    models = entries(settings, trained)
    points = _sweep_points(settings, trained, folder / "networks")
    kept = folder / "samples"
    sample_all(
        [entry.model for entry in [*models, *points]],
        kept,
        workers=settings.workers,
        device=device,
    )
    images = {(entry.what, entry.seed): samples_of(entry.model, kept) for entry in models}
    judge = _judge(data)
    findings = Findings(
        networks=_network_rates(judge, models, images),
        machines=[
            rates(judge, entry.what, None, images[entry.what, None])
            for entry in models
            if entry.role is None and entry.what not in BASELINES
        ],
        orders=_orders(judge, models, images),
        agreements=_agreements(models, images),
        real=_real(settings, folder, device),
        sweeps=_points(points, kept),
        about=_about(settings, trained, models),
    )
    return write_consistency_page(
        findings,
        _pictures(models, images),
        {role: read_curve(path) for (role, seed), path in trained.items() if seed == 0},
        data.images[:SHOWN],
        folder,
        command,
        (folder / "settings.yaml").read_text(encoding="utf-8"),
    )


Images = Mapping[tuple[Role | Candidate, int | None], Tensor]


def _judge(data: TrainingSet) -> Judge:
    assert data.judge is not None  # the settings accept crafted sets only
    return data.judge


def _network_rates(judge: Judge, models: list[Entry], images: Images) -> list[Rates]:
    """Return the rates of every training, after those of all trainings of a role together."""
    found = []
    for role in dict.fromkeys(entry.role for entry in models if entry.role):
        seeds = [entry.seed for entry in models if entry.role == role]
        together = torch.cat([images[role, seed] for seed in seeds])
        found.append(rates(judge, role, None, together))
        found += [rates(judge, role, seed, images[role, seed]) for seed in seeds]
    return found


def _orders(judge: Judge, models: list[Entry], images: Images) -> list[Order]:
    rows = {
        role: [
            rates(judge, role, entry.seed, images[role, entry.seed])
            for entry in models
            if entry.role == role
        ]
        for role in (CNN, *ATTENTIVE)
    }
    return [order(rows[role], rows[CNN][: len(rows[role])]) for role in ATTENTIVE]


def _agreements(models: list[Entry], images: Images) -> list[Agreement]:
    """Return how the machines agree with the first training of each network."""
    found = []
    for role in dict.fromkeys(entry.role for entry in models if entry.role):
        candidates, without = rivals(role, models)
        machines = {each: images[each, None] for each in candidates}
        found += agreement(role, images[role, 0], machines, without)
    return found


def _sweep_points(settings: ConsistencySettings, trained: Trained, folder: Path) -> list[Entry]:
    if not settings.varies:
        return []
    return sweeps(settings, trained, trained_anew(settings, trained, folder))


def _points(points: list[Entry], kept: Path) -> list[Point]:
    found = []
    for entry in points:
        judge = _judge(open_data(entry.model.data))
        images = samples_of(entry.model, kept)
        value = rates(judge, entry.what, None, images)
        found.append(Point(entry.sweep or "", entry.value, entry.what, value))
    return found


def _pictures(models: list[Entry], images: Images) -> dict[Role | Candidate, Tensor]:
    """Return a few samples of each network's first training and of each machine."""
    return {
        entry.what: images[entry.what, entry.seed][:SHOWN] for entry in models if not entry.seed
    }


def _about(
    settings: ConsistencySettings, trained: Trained, models: list[Entry]
) -> dict[str, object]:
    windows = {str(entry.what): entry.model.window for entry in models if entry.role is None}
    parameters = {
        str(role): load_network(path).num_parameters()
        for (role, seed), path in trained.items()
        if seed == 0
    }
    return {
        "settings": yaml.safe_dump(asdict(replace(settings, workers=1)), sort_keys=False),
        "scoremachines": __version__,
        "torch": torch.__version__,
        "windows": windows,
        "parameters": parameters,
    }
