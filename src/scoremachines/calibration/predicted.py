"""k(t) without a network: predictions from the training set alone (theory §3, Prediction).

`"information"`: the largest window whose patches, at this noise level, carry at most a share of
log N about the training image that they come from; larger ones would only recite it.

    k(t) = max { k : I_k(t) ≤ share · log N }

`"edge"`: the largest window whose patches speak for their own image no louder than all others do
together (theory §6.6); beyond it, a machine memorises.

    k(t) = max { k : Λ_k(t) ≤ log(N−1) },    Λ = E_u(j) − log mean_{i≠j} exp E_u(i)

`"held-out"`: the window whose machine, without the image in question, denoises that image best.

    k(t) = argmin_k  E ‖x_i − x̂0_{k, without i}(√ᾱ x_i + √(1−ᾱ) ε)‖²
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import Any

import torch
from torch import Tensor

from scoremachines.calibration.curves import Curves
from scoremachines.calibration.information import image_information, noised_images, recall
from scoremachines.calibration.windows import Calibration, odd_windows
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import make_engine
from scoremachines.errors import InputError, check_counts, real, whole
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.positions import read_sources
from scoremachines.theory.schedule import NoiseSchedule, noise_schedule

__all__ = ["RULES", "predict_windows"]

RULES = ("information", "edge", "held-out")


def predict_windows(
    data: TrainingSet,
    *,
    sources: str = "boundary",
    windows: Sequence[int] | None = None,
    rule: str = "information",
    share: float = 0.5,
    schedule: str | NoiseSchedule | Sequence[float] = "cosine",
    steps: int = 20,
    draws: int = 16,
    seed: int = 0,
    memory: int = 2**30,
) -> Calibration:
    """Predict k(t) with no network (theory §3, Prediction).

        information:  k(t) = max {k : I_k(t) ≤ f log N},    I_k(t) = log N − E[H(softmax_i E_u(i))]
        edge:         k(t) = max {k : Λ_k(t) ≤ log(N−1)},   for patches of image j
        held-out:     k(t) = argmin_k E‖x_i − x̂0_{k, without i}(φ, ᾱ(t))‖²

    Args:
        data: the training set, N images.
        sources: V(u), `"aligned"`, `"valid"`, `"circular"` or `"boundary"`.
        windows: the candidates, odd, pixels; by default all that fit into the image.
        rule: `"information"`, `"edge"` or `"held-out"`.
        share: f, in [0, 1]; at 1/2 the patch still leaves about √N
            images to mix. For the rule `"information"` alone.
        schedule: ᾱ(t).
        steps: the knots of k(t) are j/steps, j = 1..steps.
        draws: how many noised training images the means are taken over.
        seed: of the draws, at least 0.
        memory: bytes that the engine may use above the training set.

    Returns:
        k(t), with the information or Λ in nats, or minus the mean squared error, of every window
        at every knot in every draw.

    Raises:
        InputError: an argument is out of range.
    """
    steps, draws = check_counts(steps=steps, draws=draws)
    seed, memory = whole("seed", seed), whole("memory", memory, 1)
    if rule not in RULES:
        raise InputError("rule", rule, ", ".join(RULES))
    sources = read_sources(sources)
    share = real("share", share, 0, 1)
    if rule != "information" and len(data) < 2:
        raise InputError("data", data, "at least two images, of which one is held out")
    candidates, levels = odd_windows(data, windows), noise_schedule(schedule)
    times = tuple(j / steps for j in range(1, steps + 1))
    alphas = levels.alpha_bar(torch.tensor(times, dtype=torch.float64))
    probe: Callable[..., Tensor] = _held_out if rule == "held-out" else partial(_noised, rule)
    values = probe(data, alphas, candidates, sources, draws, seed, memory)
    about: dict[str, Any] = {
        "training_set": data.name,
        "fingerprint": data.fingerprint(),
        "sources": sources,
        "seed": seed,
    }
    if rule == "information":
        about |= {"images": len(data), "share": share}
    curves = Curves(candidates, {rule: values}, rule, about)
    if rule == "held-out":
        positions = curves.best_on_average()
    else:
        limit = share * log(len(data)) if rule == "information" else log(len(data) - 1)
        positions = _admissible(values, limit)
    return Calibration(times, tuple(candidates[each] for each in positions), curves)


def _admissible(information: Tensor, limit: float) -> list[int]:
    """Return for every step the last window below the limit; the first one if there is none."""
    mean = information.mean(2)
    allowed = mean <= limit + 1e-9
    order = torch.arange(mean.shape[1]).expand_as(mean)
    return torch.where(allowed, order, 0).amax(1).tolist()


def _noised(
    rule: str,
    data: TrainingSet,
    alphas: Tensor,
    candidates: Sequence[int],
    sources: str,
    draws: int,
    seed: int,
    memory: int,
) -> Tensor:
    """Return the information or Λ, nats, `[step, window, draw]`."""
    engine = make_engine("auto", memory)
    places, noise = noised_images(data, draws, seed)
    clean, noise = _clean(data, places), noise.to(data.pixels.device)
    rows = []
    for alpha_bar in alphas:
        noisy = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise
        level = alpha_bar.expand(draws)
        asked = [(data, engine, noisy, level, window, sources) for window in candidates]
        if rule == "edge":
            row = [recall(*each, places).gap for each in asked]
        else:
            row = [image_information(*each) for each in asked]
        rows.append(torch.stack(row))
    return torch.stack(rows).cpu()


def _held_out(
    data: TrainingSet,
    alphas: Tensor,
    candidates: Sequence[int],
    sources: str,
    draws: int,
    seed: int,
    memory: int,
) -> Tensor:
    """Return minus the mean squared error, `[step, window, draw]`."""
    places, noise = noised_images(data, draws, seed)
    columns = []
    for place, each in zip(places.tolist(), noise.to(data.pixels.device), strict=True):
        others = data.subset(torch.arange(len(data)) != place)
        clean = _clean(data, torch.tensor([place]))
        levels = alphas.to(clean.device)[:, None, None, None]
        noisy = levels.sqrt() * clean + (1 - levels).sqrt() * each
        errors = [
            (ScoreMachine(others, window, sources, memory=memory).denoise(noisy, alphas) - clean)
            .square()
            .mean((1, 2, 3))
            for window in candidates
        ]
        columns.append(-torch.stack(errors, 1))
    return torch.stack(columns, 2).cpu()


def _clean(data: TrainingSet, places: Tensor) -> Tensor:
    return data.block(places, torch.float64)
