"""Benchmark tasks: machines, windows, numbers of images, engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import ENGINES, make_engine
from scoremachines.errors import InputError, numbers, real, whole
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.theory.locality import check_window

__all__ = ["BASELINE", "Task", "checked", "engines", "tasks"]

BASELINE = "dense"
NOT_BY_ITSELF = ("auto", "reference")
"""Measured only if they are named: a choice of the others, and the slow oracle."""
ONLY_ON = {"native": "cpu", "cuda": "cuda"}
EXACT = 256
"""Errors are those on so many training images, or fewer if no measurement has more."""


@dataclass(frozen=True)
class Task:
    """Posteriors of one machine by one engine, at several noise levels.

    Args:
        engine: its name, or `"dense"`.
        machine: `"els"`, `"local"` or `"ideal"`, as `scoremachines.machine.named` has them.
        window: k, pixels; None for the whole image.
        count: N, the first so many images of the training set.
        levels: ᾱ, one after the other.
        exact: whether to compare with float64, too.
    """

    engine: str
    machine: str
    window: int | None
    count: int
    levels: tuple[float, ...]
    exact: bool = False

    def record(self, level: float) -> dict[str, object]:
        """Return what distinguishes one measurement from another."""
        values = asdict(self)
        for name in ("levels", "exact"):
            del values[name]
        return values | {"level": level}


def engines(settings: BenchSettings) -> tuple[list[str], list[str]]:
    """Return the engines to compare.

    Args:
        settings: which are requested.

    Returns:
        Their names, the baseline first; and a line for each that cannot run here.

    Raises:
        InputError: one is requested by name that is unknown, or cannot run here.
    """
    if settings.engines != "all":
        names = list(dict.fromkeys(settings.engines.split(",")))
        for name in names:
            if name != BASELINE:
                make_engine(name)
        return sorted(names, key=lambda name: name != BASELINE), []
    found, lines = [], []
    kind = settings.device.partition(":")[0]
    for name in ENGINES:
        if name in NOT_BY_ITSELF or ONLY_ON.get(name, kind) != kind:
            continue
        try:
            make_engine(name)
        except InputError as error:
            lines.append(f"{name} is left out: {error.reason}")
        else:
            found.append(name)
    return [BASELINE, *found], lines


def checked(settings: BenchSettings, data: TrainingSet) -> tuple[list[int], list[int]]:
    """Return the numbers of images, rising, and the windows to measure.

    Args:
        settings: of the benchmark.
        data: the training set.

    Returns:
        Numbers that the training set has, at least one, and windows.

    Raises:
        InputError: a setting is out of range.
    """
    counts = sorted(int(count) for count in numbers("counts", settings.counts, 1, 1e9))
    counts = [count for count in counts if count <= len(data)] or [len(data)]
    windows = [int(window) for window in numbers("windows", settings.windows, 1, 1e4)]
    for window in windows:
        check_window(window, data.shape[1:])
    numbers("levels", settings.levels, 0, 1)
    real("error_level", settings.error_level, 0, 1)
    for name, least in {"repeat": 1, "threads": 0, "steps": 1, "seed": 0}.items():
        whole(name, getattr(settings, name), least)
    return counts, windows


def tasks(
    settings: BenchSettings, names: list[str], counts: list[int], windows: list[int]
) -> Iterator[Task]:
    """Yield what is to be measured, few images before many, the engines side by side.

    Args:
        settings: of the benchmark.
        names: of the engines.
        counts: numbers of training images, rising.
        windows: k, pixels.

    Yields:
        ELS for every number and window; then LS and IS on all images.
    """
    levels = tuple(numbers("levels", settings.levels, 0, 1))
    few = max((count for count in counts if count <= EXACT), default=min(counts))
    for count in counts:
        exact = count == few
        at = tuple(dict.fromkeys((*levels, settings.error_level))) if exact else levels
        for window in windows:
            for name in names:
                yield Task(name, "els", window, count, at, exact)
    middle = levels[len(levels) // 2 : len(levels) // 2 + 1]
    others = [name for name in names if name != BASELINE]
    for name in others:
        for window in windows:
            yield Task(name, "local", window, counts[-1], middle)
        yield Task(name, "ideal", None, counts[-1], middle)
