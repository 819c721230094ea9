"""Denoisers of a training set by name (theory §3)."""

from __future__ import annotations

from collections.abc import Callable

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.plugins import DENOISERS as GROUP
from scoremachines.io.plugins import plugin
from scoremachines.machine.baselines import Wiener
from scoremachines.machine.closed_forms import PCALocality, Smoothed
from scoremachines.machine.composed import ComposedPatches
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.golden import GoldenSubset
from scoremachines.theory.locality import Window
from scoremachines.theory.schedule import NoiseSchedule

__all__ = ["DENOISERS", "make_denoiser"]

DENOISERS: dict[str, Callable[[TrainingSet, Window, NoiseSchedule], DenoiserModel]] = {
    "wiener": lambda data, _, schedule: Wiener(data, schedule),
    "pca-locality": lambda data, _, schedule: PCALocality(data, schedule),
    "pspc": ComposedPatches,
    "smoothed": lambda data, _, schedule: Smoothed(data, schedule),
    "gold": lambda data, _, schedule: GoldenSubset(data, schedule),
}
"""Denoisers that are no score machines."""


def make_denoiser(
    name: str, data: TrainingSet, window: Window, schedule: NoiseSchedule
) -> DenoiserModel:
    """Return a denoiser by name, such as `x̂0 = μ + √ᾱ Σ (ᾱ Σ + (1−ᾱ) I)⁻¹ (φ − √ᾱ μ)`.

    Args:
        name: a key of `DENOISERS`, or that of an entry point `scoremachines.denoisers`, which
            names a function of `(data, window, schedule)` that returns a `DenoiserModel`.
        data: the training set.
        window: k or k(t), for those that have one.
        schedule: ᾱ(t).

    Returns:
        The denoiser.

    Raises:
        InputError: there is none of that name.
    """
    make = DENOISERS[name] if name in DENOISERS else plugin(GROUP, name)
    made = make(data, window, schedule)
    if not isinstance(made, DenoiserModel):
        raise InputError(GROUP, made, "scoremachines.machine.denoiser.DenoiserModel")
    return made
