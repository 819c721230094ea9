"""An opened run: its samples, and every denoiser that can be evaluated on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, system_reason
from scoremachines.explore.trace import Course
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.posterior import Posterior

__all__ = ["Subject", "Watched", "watch"]


@dataclass(frozen=True)
class Watched:
    """A file of a run, as it was when the run was opened."""

    path: Path
    size: int

    def check(self) -> None:
        """Refuse a file that has gone or has another size now.

        Raises:
            InputError: naming it.
        """
        accepted = "the run's folder as it was when it was opened"
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            raise InputError("run", self.path, accepted, "the file has been deleted") from None
        except OSError as error:
            raise InputError("run", self.path, accepted, system_reason(error)) from None
        if size != self.size:
            reason = f"the file has {size} bytes now, it had {self.size}"
            raise InputError("run", self.path, accepted, reason)


def watch(paths: Sequence[Path]) -> tuple[Watched, ...]:
    """Return files together with their present sizes.

    Args:
        paths: the files.

    Returns:
        What to check later.

    Raises:
        InputError: one of them cannot be read.
    """
    watched = []
    for path in paths:
        try:
            watched.append(Watched(path, path.stat().st_size))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "the file is missing" if missing else system_reason(error)
            raise InputError("run", path, "the folder of a run", reason) from None
    return tuple(watched)


@dataclass(frozen=True)
class Subject:
    """A run, opened to be explored.

    Args:
        title: what to call it.
        own: name of the denoiser that painted it.
        titles: of all denoisers at hand, by name.
        course: what decides its samples, but the denoiser.
        stored: samples that the run holds, by name of the denoiser, `[n, C, H, W]`; those of `own`
            among them.
        make: returns the denoiser of a name.
        beside: the name that is shown beside `own` at first.
        data: the training set; None where it cannot be reached.
        reader: names the sources of a network's noisy images, and is the machine that live
            recomputation starts from.
        posterior: sources at the last step, as the run holds them.
        notices: what a reader should know of this run, one sentence each.
        files: that the run consists of.
        settings: of the run, as text.
        command: the line that opens it.
    """

    title: str
    own: str
    titles: Mapping[str, str]
    course: Course
    stored: Mapping[str, Tensor]
    make: Callable[[str], DenoiserModel]
    beside: str | None = None
    data: TrainingSet | None = None
    reader: ScoreMachine | None = None
    posterior: Posterior | None = None
    notices: tuple[str, ...] = ()
    files: tuple[Watched, ...] = field(default=())
    settings: str = ""
    command: str = ""

    @property
    def images(self) -> Tensor:
        """The run's samples, `[n, C, H, W]`."""
        return self.stored[self.own]

    def check(self) -> None:
        """Refuse to go on with a run that was deleted or changed.

        Raises:
            InputError: naming the file.
        """
        for each in self.files:
            each.check()
