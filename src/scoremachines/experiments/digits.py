"""The same comparison on real images: handwritten digits of 8×8 pixels, agreement only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from scoremachines.data.settings import DataSettings
from scoremachines.experiments.machines import network_window
from scoremachines.experiments.networks import CNN, SOFT
from scoremachines.experiments.plan import BASELINES, PLAIN
from scoremachines.experiments.results import Agreement, agreement
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.experiments.sample_cache import Model, sample_all, samples_of
from scoremachines.networks.training.folder import load_network
from scoremachines.theory.specs import AttentionSpec, MachineSpec

__all__ = ["DIGITS", "RIVALS", "digits_agreement"]

DIGITS = DataSettings(source="digits", limit=300)
"""300 of the digits that scikit-learn brings along."""
RIVALS = {
    CNN: (*BASELINES, PLAIN),
    SOFT: (
        *(*BASELINES, PLAIN),
        *(
            Candidate(MachineSpec(attention=AttentionSpec(name, over)))
            for name in ("tiled", "measured")
            for over in ("image", "group", "consensus")
        ),
    ),
}
"""The networks trained on digits, and the machines that they are compared with."""


def digits_agreement(
    trained: Mapping[Role, Path], folder: Path, n: int, steps: int, workers: int, device: str
) -> list[Agreement]:
    """Compare networks trained on digits with their machines, from the same noise.

    Args:
        trained: folder of each network, by a key of `RIVALS`.
        folder: where samples are kept.
        n: number of samples.
        steps: of sampling.
        workers: number of processes.
        device: of the computation.

    Returns:
        One row a network and machine.

    Raises:
        InputError: a network is missing, or the folder cannot be written.
    """
    models: dict[tuple[Role, Candidate | None], Model] = {}
    for role, candidates in RIVALS.items():
        path = trained[role]
        window = str(network_window(load_network(path), path))
        plain = Model(DIGITS, n, str(path), steps=steps)
        models[role, None] = plain
        for each in candidates:
            models[role, each] = replace(plain, machine=each.machine, window=window)
    sample_all(list(models.values()), folder, workers=workers, device=device)
    images = {key: samples_of(model, folder) for key, model in models.items()}
    found = []
    for role, candidates in RIVALS.items():
        rivals = {each: images[role, each] for each in candidates}
        shown = replace(role, data="digits")
        found += agreement(shown, images[role, None], rivals, PLAIN)
    return found
