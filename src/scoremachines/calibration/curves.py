"""The similarity of a network and each candidate machine at each step (theory §3, Calibration).

Network and machines are evaluated at the network's own (φ, ᾱ). Their x̂0 and ε̂ are compared
in float64: at high noise ε̂ is nearly φ itself, and similarities differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, check_counts
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.sampling.reverse_process import Step, kg_trajectory, starting_noise
from scoremachines.sampling.sample import sample_labels
from scoremachines.theory.positions import read_sources
from scoremachines.theory.schedule import predicted

__all__ = [
    "MEASURES",
    "Curves",
    "Evaluate",
    "Search",
    "check_measure",
    "follow",
    "known_sources",
    "median_choice",
    "origin",
    "similarity",
]

MEASURES = ("noise", "clean", "error")
"""noise: cosine similarity of the two ε̂ (KG's). clean: Pearson r of the two x̂0. error: minus the
mean squared difference of the two x̂0."""

Evaluate = Callable[[int], dict[str, Tensor]]
"""Compares a network with the candidate at a position: for every measure `[trajectory]`."""
Search = Callable[[Evaluate], dict[int, dict[str, Tensor]]]
"""Evaluates some candidates at one step, and returns their measures; called step by step."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The values behind a choice, for every step, candidate and trajectory.

    `k(t) = median_j argmax_k values[t, k, j]`, or the argmax of the mean over j.

    Args:
        candidates: windows, pixels, or strengths, rising.
        values: for every measure, float64 `[step, candidate, trajectory]`, steps by rising time;
            NaN for all trajectories where a candidate was not evaluated.
        measure: the one that decides.
        about: how the numbers came about, in words and numbers.

    Raises:
        InputError: the numbers do not fit together, or one is infinite.
    """

    candidates: tuple[float, ...]
    values: Mapping[str, Tensor]
    measure: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        accepted = "finite numbers [step, candidate, trajectory] for every measure"
        rising = all(a < b for a, b in zip(self.candidates, self.candidates[1:], strict=False))
        if not self.candidates or not rising:
            raise InputError("candidates", self.candidates, "at least one number, rising")
        if self.measure not in self.values:
            raise InputError("measure", self.measure, ", ".join(self.values))
        shape = self.chosen_by.shape
        for name, value in self.values.items():
            fits = value.ndim == 3 and value.shape == shape and value.numel() > 0
            if not fits or shape[1] != len(self.candidates) or not _complete(value):
                raise InputError("curves", name, accepted)

    @property
    def chosen_by(self) -> Tensor:
        """The numbers of the measure that was chosen by, `[step, candidate, trajectory]`."""
        return self.values[self.measure]

    def voted(self) -> list[int]:
        """Return for every step the median over trajectories of the best candidate.

        A trajectory's best has its largest number. Of two middle candidates, that with the larger
        mean over trajectories counts.

        Returns:
            Positions in `candidates`.
        """
        return [median_choice(values) for values in self.chosen_by]

    def best_on_average(self) -> list[int]:
        """Return for every step the candidate with the largest mean over trajectories."""
        return self.chosen_by.mean(2).nan_to_num(nan=-torch.inf).argmax(1).tolist()


def _complete(values: Tensor) -> bool:
    """Return whether every step has a candidate evaluated for all trajectories."""
    known = ~values.isnan()
    whole = (known.all(2) == known.any(2)).all() and known.any(2).any(1).all()
    return bool(whole and not values.isinf().any())


def median_choice(values: Tensor) -> int:
    """Return the median over trajectories of the best candidate (theory §3).

    `k = median_j argmax_k values[k, j]`; of two middle candidates, the one of larger mean.

    Args:
        values: of one step, `[candidate, trajectory]`; NaN where a candidate has none.

    Returns:
        Its position.
    """
    values = values.nan_to_num(nan=-torch.inf)
    votes = values.argmax(0).sort().values
    low, high = int(votes[(len(votes) - 1) // 2]), int(votes[len(votes) // 2])
    mean = values.mean(1)
    return high if mean[high] > mean[low] else low


def similarity(found: Tensor, known: Tensor, noisy: Tensor, alpha_bar: float) -> dict[str, Tensor]:
    """Return the similarity of two denoised images, by every measure of `MEASURES`.

        noise: cos(ε̂_a, ε̂_b)    clean: r(x̂0_a, x̂0_b)    error: −mean (x̂0_a − x̂0_b)²
        with ε̂ = (φ − √ᾱ x̂0) / √(1−ᾱ)

    Args:
        found: x̂0 of one, `[B, C, H, W]`.
        known: x̂0 of the other.
        noisy: φ that both were computed from.
        alpha_bar: ᾱ in [0, 1].

    Returns:
        For every measure float64 `[B]`, larger where they are more alike; 0 for the cosine of a
        vector without length.
    """
    found, known, noisy = found.double(), known.double(), noisy.double()
    noises = [predicted("epsilon", clean, noisy, alpha_bar).flatten(1) for clean in (found, known)]
    first, second = found.flatten(1), known.flatten(1)
    centred = [clean - clean.mean(1, keepdim=True) for clean in (first, second)]
    return {
        "noise": cosine_similarity(noises[0], noises[1], eps=1e-30),
        "clean": cosine_similarity(centred[0], centred[1], eps=1e-30),
        "error": -(first - second).square().mean(1),
    }


def follow(
    network: DenoiserModel,
    data: TrainingSet,
    machines: Sequence[DenoiserModel],
    *,
    steps: int,
    seeds: int,
    seed: int,
    labels: int | str | Sequence[int | str] | None = None,
    search: Search,
    on_step: Callable[[Step], object] | None = None,
) -> tuple[tuple[float, ...], dict[str, Tensor]]:
    """Follow a network down its own trajectories, and compare machines with it at every step.

    The network's steps are `φ' = √ᾱ' x̂0 + √(1−ᾱ') ε̂` with ᾱ' = ᾱ(t_{j−1}) (theory §1.3).

    Args:
        network: whose trajectories these are.
        data: the training set, with its labels.
        machines: what it is compared with.
        steps: n of the loop (theory §1.3), at least 1.
        seeds: number of trajectories, at least 1.
        seed: of their starting noise.
        labels: one class for all trajectories, or one for each.
        search: which machines are evaluated at a step, as in `scoremachines.calibration.search`.
        on_step: called after every step.

    Returns:
        The times j/n, rising, and for every measure float64 `[step, machine, trajectory]`, NaN
        where a machine was not evaluated.

    Raises:
        InputError: a count is out of range, or the network is made for other images.
    """
    steps, seeds = check_counts(steps=steps, seeds=seeds)
    classes = sample_labels(data, labels, seeds)
    noise = starting_noise(seed, range(seeds), network.shape, torch.float64).to(network.device)
    rows: list[dict[int, dict[str, Tensor]]] = []
    for step in kg_trajectory(network, noise, network.schedule, steps, classes):

        def evaluate(position: int, step: Step = step) -> dict[str, Tensor]:
            found = machines[position].denoise(step.noisy, step.alpha_bar, classes)
            return similarity(found, step.clean, step.noisy, step.alpha_bar)

        rows.append(search(evaluate))
        if on_step is not None:
            on_step(step)
    rows.reverse()
    values = {
        name: torch.full((steps, len(machines), seeds), torch.nan, dtype=torch.float64)
        for name in MEASURES
    }
    for number, row in enumerate(rows):
        for position, numbers in row.items():
            for name, value in numbers.items():
                values[name][number, position] = value
    return tuple(j / steps for j in range(1, steps + 1)), values


def known_sources(network: DenoiserModel, data: TrainingSet, sources: str | None) -> str:
    """Return where the patches of a network's machine may come from (theory §2.2).

    Args:
        network: the network, which may know it from its padding.
        data: the training set, whose images must be of the network's shape.
        sources: as the user gave it; None for the network's own.

    Returns:
        The kind of sources.

    Raises:
        InputError: neither gives it, or the network is made for other images.
    """
    if tuple(network.shape) != tuple(data.shape):
        accepted = f"images of {' × '.join(map(str, network.shape))}, as the network takes them"
        raise InputError("data", data, accepted)
    found = sources or getattr(network, "sources", None)
    if found is None:
        accepted = "boundary for zero padding, valid or circular for circular"
        raise InputError("sources", None, accepted, "the network has no attribute `sources`")
    return read_sources(found)


def origin(network: DenoiserModel, data: TrainingSet, sources: str, seed: int) -> dict[str, Any]:
    """Return what a calibration of a network records of how it came about."""
    return {
        "network": type(network).__name__,
        "read as": network.facts(),
        "training_set": data.name,
        "fingerprint": data.fingerprint(),
        "sources": sources,
        "seed": seed,
    }


def check_measure(measure: str) -> None:
    """Refuse what is not in `MEASURES`.

    Args:
        measure: its name.

    Raises:
        InputError: there is none of that name.
    """
    if measure not in MEASURES:
        raise InputError("measure", measure, ", ".join(MEASURES))
