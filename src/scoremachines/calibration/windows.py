"""The locality scale k(t) of a trained network, found the way KG do (theory §3, Calibration).

At every step of the network's own reverse trajectories, each trajectory votes for the window whose
machine's ε̂ is closest to the network's; k(t) is the median. For KG's measure,

    k(t) = median over trajectories of argmax_k cos( ε̂_network(φ, t), ε̂_k(φ, t) )
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from scoremachines.attention import Attention
from scoremachines.calibration.curves import Curves, check_measure, follow, known_sources, origin
from scoremachines.calibration.search import make_search
from scoremachines.calibration.stored import read_choice, write_choice
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.reverse_process import Step
from scoremachines.theory.locality import WindowSchedule, check_window

__all__ = ["Calibration", "calibrate", "odd_windows"]


@dataclass(frozen=True)
class Calibration(WindowSchedule):
    """k(t), and the curves that it rests on: a `WindowSchedule`, to be given to a machine.

    `k(t) = median over trajectories of argmax_k cos(ε̂_network, ε̂_k)` at the steps (theory §3).

    Args:
        times: the times of the steps in [0, 1], rising.
        windows: k at each, odd, pixels.
        curves: what was measured at every step for every window; `curves.candidates` are the
            windows.

    Raises:
        InputError: the parts do not fit together.
    """

    curves: Curves = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.times) != len(self.curves.chosen_by):
            raise InputError("times", self.times, "as many as the curves have steps")
        if not set(self.windows) <= set(self.curves.candidates):
            raise InputError("windows", self.windows, f"of {self.curves.candidates}")

    @classmethod
    def by_vote(cls, times: Sequence[float], curves: Curves) -> Calibration:
        """Return k(t) as the trajectories vote for it."""
        chosen = (int(curves.candidates[position]) for position in curves.voted())
        return cls(tuple(times), tuple(chosen), curves)

    def by(self, measure: str) -> Calibration:
        """Return k(t) by another measure of the same curves, of the candidates evaluated.

        Args:
            measure: `"noise"`, `"clean"` or `"error"`.

        Returns:
            The calibration.

        Raises:
            InputError: the curves hold no such measure.
        """
        old = self.curves
        curves = Curves(old.candidates, old.values, measure, old.about)
        return Calibration.by_vote(self.times, curves)

    @property
    def schedule(self) -> WindowSchedule:
        """k(t) alone."""
        return WindowSchedule(self.times, self.windows)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, all or nothing.

        Args:
            path: the file, such as `calibration.json` beside a checkpoint.

        Raises:
            InputError: the file cannot be written.
        """
        write_choice(path, "windows", self.times, self.windows, self.curves)

    @staticmethod
    def load(path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Args:
            path: the file.

        Returns:
            The same calibration.

        Raises:
            InputError: the file is missing, damaged or holds something else.
        """
        times, chosen, curves = read_choice(path, "windows")
        return Calibration(tuple(times), tuple(chosen), curves)  # type: ignore[arg-type]


def calibrate(
    network: DenoiserModel,
    data: TrainingSet,
    *,
    windows: Sequence[int] | None = None,
    sources: str | None = None,
    attention: str | Tensor | Callable[[Tensor, Tensor], Tensor] | Attention = "none",
    measure: str = "noise",
    search: str = "all",
    steps: int = 20,
    seeds: int = 8,
    seed: int = 0,
    labels: int | str | Sequence[int | str] | None = None,
    on_step: Callable[[Step], object] | None = None,
) -> Calibration:
    """Find k(t) of a network (theory §3, Calibration).

    `k(t) = median over trajectories of argmax_k cos(ε̂_network, ε̂_k)`, or another measure.

    Args:
        network: a network, or a machine that plays one.
        data: its training set.
        windows: the candidates, odd, pixels; by default all that fit into the image and into what
            the network sees.
        sources: where the machine's patches come from (theory §2.2); by default what the network's
            padding stands for.
        attention: the machine's, as in `ScoreMachine`.
        measure: what decides: `"noise"`, the cosine similarity of ε̂ (KG's), `"clean"`, Pearson r
            of x̂0, or `"error"`, minus the mean squared difference of x̂0. All three are kept.
        search: which candidates are evaluated at a step: `"all"`, or `"near"` the choice of the
            noisier step before, and on from there while that gets better: about three of them.
        steps: of the network's trajectories; their times are the knots of k(t).
        seeds: number of trajectories.
        seed: of their starting noise.
        labels: one class for all trajectories, or one for each.
        on_step: called after every step.

    Returns:
        k(t), which `ScoreMachine(data, window=...)` takes as it is.

    Raises:
        InputError: an argument is out of range, or data and network do not fit together.
    """
    check_measure(measure)
    chosen = known_sources(network, data, sources)
    candidates = odd_windows(data, windows, getattr(network, "receptive_field", None))
    first = ScoreMachine(data, candidates[0], chosen, attention, schedule=network.schedule)
    moved = first.to(network.device).data
    machines = [
        ScoreMachine(moved, window, chosen, attention, schedule=network.schedule)
        for window in candidates
    ]
    times, values = follow(
        network,
        data,
        machines,
        steps=steps,
        seeds=seeds,
        seed=seed,
        labels=labels,
        on_step=on_step,
        search=make_search(search, len(machines), measure),
    )
    about = origin(network, data, chosen, seed)
    about |= {"attention": first.attention.name, "search": search}
    return Calibration.by_vote(times, Curves(candidates, values, measure, about))


def odd_windows(
    data: TrainingSet, windows: Sequence[int] | None = None, most: int | None = None
) -> tuple[int, ...]:
    """Return the windows to choose among, rising.

    Args:
        data: the training set, into whose images they must fit.
        windows: the user's; by default all odd ones.
        most: the largest of the default ones, pixels; None for any.

    Returns:
        At least one odd window, pixels.

    Raises:
        InputError: none are given, or one is not odd or does not fit.
    """
    if windows is None:
        size = min(data.shape[1:])
        return tuple(range(1, min(size, most or size) + 1, 2))
    if not windows:
        raise InputError("windows", windows, "at least one odd window")
    for window in windows:
        check_window(window, data.shape[1:])
    return tuple(sorted(set(windows)))
