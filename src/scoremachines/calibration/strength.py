"""The strength λ of an attention, fitted to a network (theory §3, §4.2).

With the window fixed, at every step of the network's own trajectories,

    λ(t) = argmin_λ  mean over trajectories of ‖x̂0_network(φ, t) − x̂0_λ(φ, t)‖²

and the best constant is the λ for which the mean over all steps is least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scoremachines.attention import Attention, spec_of
from scoremachines.calibration.curves import Curves, check_measure, follow, known_sources, origin
from scoremachines.calibration.search import every
from scoremachines.calibration.stored import read_choice, write_choice
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.reverse_process import Step
from scoremachines.theory.locality import Window
from scoremachines.theory.specs.gain import GainSchedule

__all__ = ["StrengthCalibration", "calibrate_strength"]

STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 6.0, 12.0)


@dataclass(frozen=True)
class StrengthCalibration(GainSchedule):
    """λ(t), and the curves that it rests on: a `GainSchedule`, to be given to `Scaled`.

    `λ(t) = argmin_λ E‖x̂0_network − x̂0_λ‖²` over the trajectories (theory §3).

    Args:
        times: the times of the steps in [0, 1], rising.
        gains: λ at each.
        curves: what was measured at every step for every strength.

    Raises:
        InputError: the parts do not fit together.
    """

    curves: Curves = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.times) != len(self.curves.chosen_by):
            raise InputError("times", self.times, "as many as the curves have steps")

    @classmethod
    def by_mean(cls, times: Sequence[float], curves: Curves) -> StrengthCalibration:
        """Return the λ(t) that is best on average over the trajectories."""
        chosen = (curves.candidates[position] for position in curves.best_on_average())
        return cls(tuple(times), tuple(chosen), curves)

    @property
    def constant(self) -> float:
        """The best λ that does not depend on time, all steps counting alike."""
        return self.curves.candidates[int(self.curves.chosen_by.mean((0, 2)).argmax())]

    def save(self, path: str | Path) -> None:
        """Write it as JSON, all or nothing.

        Args:
            path: the file.

        Raises:
            InputError: the file cannot be written.
        """
        write_choice(path, "strengths", self.times, self.gains, self.curves)

    @staticmethod
    def load(path: str | Path) -> StrengthCalibration:
        """Read what `save` wrote.

        Args:
            path: the file.

        Returns:
            The same calibration.

        Raises:
            InputError: the file is missing, damaged or holds something else.
        """
        times, chosen, curves = read_choice(path, "strengths")
        return StrengthCalibration(tuple(times), tuple(chosen), curves)


def calibrate_strength(
    network: DenoiserModel,
    data: TrainingSet,
    attention: Callable[[float], Attention],
    *,
    window: Window | Mapping[float, int],
    strengths: Sequence[float] = STRENGTHS,
    sources: str | None = None,
    measure: str = "error",
    steps: int = 20,
    seeds: int = 8,
    seed: int = 0,
    labels: int | str | Sequence[int | str] | None = None,
    on_step: Callable[[Step], object] | None = None,
) -> StrengthCalibration:
    """Find the strength of attention at which x̂0 is closest to a network's (theory §3).

    `λ(t) = argmin_λ E‖x̂0_network − x̂0_λ‖²` over the trajectories, or another measure.

    Args:
        network: a network, or a machine that plays one.
        data: its training set.
        attention: makes the machine's attention of a strength λ, such as
            `lambda λ: Scaled(Measured(network.attention), λ)`.
        window: k or k(t) of the machine.
        strengths: the candidates, at least 0.
        sources: as in `calibrate`.
        measure: as in `calibrate`; by default the squared difference of x̂0 decides.
        steps: of the network's trajectories; their times are the knots of λ(t).
        seeds: number of trajectories.
        seed: of their starting noise.
        labels: one class for all trajectories, or one for each.
        on_step: called after every step.

    Returns:
        λ(t), with the best constant beside it.

    Raises:
        InputError: an argument is out of range, or data and network do not fit together.
    """
    check_measure(measure)
    chosen = known_sources(network, data, sources)
    candidates = tuple(sorted({float(strength) for strength in strengths}))
    if not candidates:
        raise InputError("strengths", strengths, "at least one number of at least 0")
    levels = network.schedule
    moved = ScoreMachine(data, window, chosen, schedule=levels).to(network.device).data
    machines = [
        ScoreMachine(moved, window, chosen, attention(strength), schedule=levels)
        for strength in candidates
    ]
    times, values = follow(
        network,
        data,
        machines,
        steps=steps,
        seeds=seeds,
        seed=seed,
        labels=labels,
        search=every(len(machines)),
        on_step=on_step,
    )
    about = origin(network, data, chosen, seed)
    about |= {
        "attention": _without_gain(machines[0].attention),
        "window": str(machines[0].window),
    }
    return StrengthCalibration.by_mean(times, Curves(candidates, values, measure, about))


def _without_gain(attention: Attention) -> str:
    """Return what an attention is called but for its gain."""
    spec = spec_of(attention)
    return attention.name if spec is None else str(replace(spec, gain=1.0))
